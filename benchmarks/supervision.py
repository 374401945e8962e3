"""What the runner of a task costs while the task runs: memory of a sleeping one, and the way of its output."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Comparison, report
from dkist_airflow_node.worker import start_runner

if TYPE_CHECKING:
    from collections.abc import Callable

SLEEPING = 100
PROMISED_BYTES = 6_000_000
"""What supervision may take of memory for each task (PSS)."""
LINES = 2_000_000
ROUNDS = 3

LAUNCHER = """
import os, sys, time
if sys.argv[2] == "sleep":
    open(os.environ["STARTED"], "a").write(".")
    time.sleep(600)
block = "a line of a task as long as lines of tasks are in the mean\\n" * 1000
for _ in range(int(os.environ["LINES"]) // 1000):
    sys.stdout.write(block)
"""


class Host:
    """A store with one environment, whose launcher sleeps or writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started = folder / "started"
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        lock = folder / "requirements.txt"
        lock.touch()
        digest = sha256(b"").hexdigest()
        environment = folder / "store" / f"{digest[:32]}-py{python}-{os.uname().machine}"
        venv.create(environment, symlinks=True)
        launcher = environment / "lib" / f"python{python}" / "site-packages" / "dkist_task"
        launcher.mkdir()
        (launcher / "__main__.py").write_text(LAUNCHER)
        (environment / ".complete").write_text(f"{os.__file__}\n")
        environment.parent.chmod(0o755)
        self.python = environment / "bin" / "python"
        self.variables = {
            "PATH": os.defpath,
            "LINES": str(LINES),
            "STARTED": str(self.started),
            "DKIST_ENVIRONMENT_STORE": str(environment.parent),
            "DKIST_LOCK": str(lock),
            "DKIST_LOCK_SHA256": digest,
            "DKIST_PYTHON": python,
        }

    def start(self, task: str) -> subprocess.Popen[bytes]:
        """Start a task under the runner."""
        environ = {**self.variables, "DKIST_TASK": task}
        request = {"action": "run", "environ": environ, "watch": [os.getpid()], "attempt": None}
        return start_runner(request, env={"PATH": os.defpath}, cwd=self.folder)

    def bash(self) -> subprocess.Popen[bytes]:
        """Start the task that writes as Airflow's BashOperator does."""
        command = ["bash", "-c", f"{self.python} -m dkist_task run write"]
        return subprocess.Popen(command, env=self.variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def memory(self) -> float:
        """Return the proportional set size of both processes of a runner while its task sleeps, in bytes."""
        with ExitStack() as stack:
            runners = [stack.enter_context(self.start("sleep")) for _ in range(SLEEPING)]
            for runner in runners:
                stack.callback(runner.terminate)
            while not self.started.exists() or len(self.started.read_text()) < SLEEPING:
                time.sleep(0.1)
            time.sleep(1)
            pids = [pid for runner in runners for pid in (runner.pid, _child(runner.pid))]
            return sum(map(_proportional_set_size, pids)) / SLEEPING

    def seconds_to_read(self, start: Callable[[], subprocess.Popen[bytes]]) -> float:
        """Return the seconds until the last of the lines was read, one at a time."""
        begin = time.perf_counter()
        with start() as process:
            if process.stdout is None:
                raise RuntimeError("no pipe")
            count = sum(1 for line in process.stdout if line.startswith(b"a line"))
        if count != LINES:
            raise RuntimeError(f"{count} of {LINES} lines came")
        return time.perf_counter() - begin


def compare() -> list[Comparison]:
    """Measure both."""
    with tempfile.TemporaryDirectory() as name:
        host = Host(Path(name))
        memory = host.memory()
        runner, bash = [], []
        for _ in range(ROUNDS):
            runner.append(host.seconds_to_read(lambda: host.start("write")))
            bash.append(host.seconds_to_read(host.bash))
    return [
        Comparison(
            "memory of supervision for each sleeping task",
            memory / 1e6,
            PROMISED_BYTES / 1e6,
            "the promise",
            unit="MB",
            limit=1,
            note=f"PSS, {SLEEPING} at once",
        ),
        Comparison("two million lines, read one by one", min(runner), min(bash), "bash"),
    ]


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _proportional_set_size(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * int(text.partition("Pss:")[2].split()[0])


if __name__ == "__main__":
    report(compare)
