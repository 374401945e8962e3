"""A worker host for tests of the runner: wheels and store of `Worker`, and the runner started as an operator does."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any

from dkist_airflow_node.worker import runner_modules, start_runner
from dkist_airflow_node.worker.runner_process import START, handover
from dkist_task import TaskBase
from tests.dkist_airflow_node.worker.worker import Worker, make_wheel

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

RUNNER = runner_modules()
COMMAND = ["-I", "-S", "-c", START]
"""The arguments of the interpreter that runs it."""
HANDOVER = handover(RUNNER)
"""What comes before the request on standard input."""


def task(name: str, **attributes: Any) -> type[TaskBase]:
    """Return a task of the instrument package that the worker will install."""
    made = type(name, (TaskBase,), {"__module__": "instrument", "run": lambda _: None, **attributes})
    setattr(sys.modules.setdefault("instrument", ModuleType("instrument")), name, made)
    return made


def changed(old: str, new: str) -> dict[str, str]:
    """Return a runner in which some text is another."""
    modules = {name: text.replace(old, new) for name, text in RUNNER.items()}
    assert modules != RUNNER, f"the runner has no {old}"
    return modules


LAUNCHER = """
import importlib, json, os, sys, traceback

def write(**outcome):
    path = os.environ["DKIST_OUTCOME_FILE"]
    with open(path + ".new", "w") as file:
        json.dump(outcome, file)
    os.rename(path + ".new", path)

module, name = sys.argv[2].split(":")
try:
    getattr(importlib.import_module(module), name)()
except SystemExit as error:
    write(result="failure", error_type="SystemExit", error=str(error))
    raise
except Exception as error:
    traceback.print_exc()
    write(result="failure", error_type=f"{type(error).__module__}.{type(error).__qualname__}", error=str(error))
    sys.exit(1)
write(result="success", action=sys.argv[1])
"""
"""Stands for dkist-task: it writes the outcome as the launcher does."""


@dataclass(frozen=True)
class Ended:
    """What a runner left when it ended."""

    status: int
    """Its exit status, as `subprocess` gives it."""
    output: bytes
    """Its standard output."""
    errors: bytes
    """Its standard error."""

    @property
    def result(self) -> dict[str, Any]:
        """The result that it reported."""
        (line,) = self.errors.splitlines()
        result: dict[str, Any] = json.loads(line)
        return result

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records in its log."""
        return [json.loads(line[1:]) for line in self.output.splitlines() if line.startswith(b"\x1e{")]

    @property
    def messages(self) -> str:
        """What the runner itself said, a line each."""
        return "\n".join(record["message"] for record in self.records if record["logger"] == "dkist.runner")

    @property
    def lines(self) -> list[str]:
        """The lines of the task's own."""
        return [line for line in self.output.decode().split("\n")[:-1] if not line.startswith("\x1e{")]


@dataclass(frozen=True)
class RunnerProcess:
    """A runner that has its request."""

    process: subprocess.Popen[bytes]
    """Its first process."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def stdout(self) -> IO[bytes]:
        """Its log."""
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def stderr(self) -> IO[bytes]:
        """Its result."""
        assert self.process.stderr is not None
        return self.process.stderr

    def command(self, **command: Any) -> None:
        """Send it a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()

    def wait(self, seconds: float) -> int:
        """Return its exit status."""
        return self.process.wait(seconds)

    def end(self, *, seconds: float = 60) -> Ended:
        """Wait for its end."""
        output, errors = self.process.communicate(timeout=seconds)
        return Ended(self.process.returncode, output, errors)

    def read_message(self, text: str) -> str:
        """Read the log up to a record with some text, and return its message."""
        while line := self.stdout.readline():
            if line.startswith(b"\x1e") and text in (message := json.loads(line[1:])["message"]):
                return str(message)
        raise AssertionError(f"the runner ended without saying {text!r}: {self.stderr.read()!r}")


class RunnerHost(Worker):
    """A host on which the runner runs the tasks of one release."""

    def release(self, source: str) -> None:
        """Make the wheels and the lock of a release whose module ``instrument`` has the given source."""
        make_wheel(
            self.wheels, "dkist-task", "0.1.0", {"dkist_task/__init__.py": "", "dkist_task/__main__.py": LAUNCHER}
        )
        make_wheel(self.wheels, "instrument", "1.0.0", {"instrument.py": source}, requires=("dkist-task",))
        self.make_lock("instrument==1.0.0\ndkist-task[otlp]\n")
        self.work.mkdir(exist_ok=True)

    def request(
        self,
        task: str = "run",
        /,
        *,
        action: str = "run",
        attempt: str | None = None,
        watch: tuple[int, ...] = (),
        **changes: str | None,
    ) -> dict[str, Any]:
        """Return what the operator asks of the runner."""
        environ = self.variables(f"instrument:{task}", **changes)
        return {"action": action, "environ": environ, "watch": watch, "attempt": attempt}

    @contextmanager
    def started(
        self,
        task: str = "run",
        /,
        *,
        action: str = "run",
        attempt: str | None = None,
        watch: tuple[int, ...] = (),
        modules: dict[str, str] = RUNNER,
        **changes: str | None,
    ) -> Iterator[RunnerProcess]:
        """Start the runner as the operator of an exported file does; end whatever is left of it afterwards."""
        request = self.request(task, action=action, attempt=attempt, watch=watch, **changes)
        own = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOST_OF_TEST": str(self.folder)}
        process = start_runner(request, modules=modules, env=own, cwd=self.work)
        try:
            yield RunnerProcess(process)
        finally:
            self.end_all()
            process.wait()
            for file in (process.stdin, process.stdout, process.stderr):
                assert file is not None
                with suppress(BrokenPipeError):
                    file.close()

    def result_of(self, task: str = "run", /, **options: Any) -> Ended:
        """Run the runner to its end."""
        with self.started(task, **options) as process:
            return process.end()

    def pids(self) -> list[int]:
        """Return every living process that was started for this host and has its variables."""
        marks = {f"DKIST_ENVIRONMENT_STORE={self.store}".encode(), f"HOST_OF_TEST={self.folder}".encode()}
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                with suppress(OSError):
                    if marks & set((entry / "environ").read_bytes().split(b"\0")):
                        found.append(int(entry.name))
        return found

    def end_all(self) -> None:
        """Kill every process that was started for this host."""
        while pids := self.pids():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def environments(self) -> list[Path]:
        """Return the folders of the store's environments."""
        return [path for path in self.store.glob("*-py3*") if path.is_dir()]
