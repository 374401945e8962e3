"""Measure the start of a task beside the predecessor's script and Airflow's own PythonVirtualenvOperator.

Each time runs from the start of the process to the first line of the task's ``run``. All install the same task from the
same index with warm installer caches. The predecessor's task needs no framework: it installs one wheel of one module.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from benchmarks.measure import Comparison, report
from benchmarks.predecessor import NAME, predecessor_interpreter
from dkist_airflow_node.worker import start_runner
from harness.interpreter import InterpreterMissingError

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
WARM_ROUNDS = 25
COLD_ROUNDS = 3
PROMISED_SECONDS = 0.030
"""What the runner may add to the launcher run by hand."""

RUN = """
    def run(self):
        import os, time
        with open(os.environ["STARTED"], "w") as file:
            file.write(repr(time.monotonic()))
"""
OURS = f"from dkist_task import TaskBase\n\nclass Nothing(TaskBase):{RUN}"
THEIRS = f"""
class Nothing:
    def __init__(self, **_): pass
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def __call__(self): self.run()
{RUN}"""

# The predecessor's own export, with Airflow's template filled in.
EXPORT = """
import sys
from dkist_processing_core import ResourceQueue, TaskBase
from dkist_processing_core.node import Node
class Nothing(TaskBase):
    def run(self): pass
Nothing.__module__ = "instrument_theirs.tasks"
node = Node(
    workflow_name="w", workflow_version="1.0.0", workflow_package="instrument_theirs.workflows",
    task=Nothing, resource_queue=ResourceQueue.DEFAULT,
)
print(node.bash_script.replace("{{dag_run.conf['recipe_run_id']}}", "1"))
"""

OPERATOR = """
import logging, os, sys, time, warnings
warnings.simplefilter("ignore")
from airflow.sdk import DAG
from airflow.providers.standard.operators.python import PythonVirtualenvOperator
def call():
    from instrument_ours.tasks import Nothing
    with Nothing(recipe_run_id=1, workflow_name="w", workflow_version="1.0.0") as task:
        task()
operator = PythonVirtualenvOperator(
    task_id="t", dag=DAG("d", schedule=None), python_callable=call,
    requirements=["instrument-ours==1.0.0"], venv_cache_path=sys.argv[1],
    system_site_packages=False, expect_airflow=False,
)
operator._bundle_path = None  # what execute() takes from the context of a task instance
operator.op_kwargs = {}
begin = time.monotonic()
operator.execute_callable()
print("TOOK", float(open(os.environ["STARTED"]).read()) - begin)
"""


class Host:
    """A worker with an index of two wheels, a lock of one of them, and a store."""

    def __init__(self, folder: Path, tasks: str = OURS) -> None:
        self.folder = folder
        self.wheels = folder / "index"  # "wheels" beside a lock would be all that a build may install
        self.started = folder / "started"
        self.store = folder / "store"
        self.lock = folder / "requirements.txt"
        self.wheels.mkdir()
        _write_wheel(self.wheels, "instrument-ours", tasks, requires="dkist-task")
        _write_wheel(self.wheels, "instrument-theirs", THEIRS)
        package = Path(__file__).parents[1] / "packages" / "dkist-task"
        subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", str(self.wheels), str(package)], check=True)
        source = folder / "requirements.in"
        source.write_text("instrument-ours==1.0.0\ndkist-task[otlp]\n")
        compile_lock = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes"]
        compile_lock += ["--only-binary", ":all:", "--python-version", PYTHON, str(source), "-o", str(self.lock)]
        subprocess.run(compile_lock, env=self.variables(), check=True)

    def variables(self) -> dict[str, str]:
        """Return the environment variables of the tasks."""
        left_out = ("PYTHON", "UV_CONSTRAINT", "VIRTUAL_ENV", "DKIST_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        links = [str(self.wheels), *filter(None, [os.environ.get("PIP_FIND_LINKS")])]
        return {
            **kept,
            "PATH": f"{Path(sys.base_prefix) / 'bin'}:{kept['PATH']}",
            "UV_FIND_LINKS": str(self.wheels),
            "PIP_FIND_LINKS": " ".join(links),
            "STARTED": str(self.started),
            "DKIST_ENVIRONMENT_STORE": str(self.store),
            "DKIST_LOCK": str(self.lock),
            "DKIST_LOCK_SHA256": sha256(self.lock.read_bytes()).hexdigest() if self.lock.exists() else "",
            "DKIST_PYTHON": PYTHON,
            "DKIST_TASK": "instrument_ours.tasks:Nothing",
            "DKIST_RECIPE_RUN_ID": "1",
            "DKIST_WORKFLOW_NAME": "w",
            "DKIST_WORKFLOW_VERSION": "1.0.0",
        }

    def seconds_to_run(self, command: list[str], **changes: str) -> float:
        """Run a command and return the seconds until the task's ``run`` began."""
        self.started.unlink(missing_ok=True)
        begin = time.monotonic()
        result = subprocess.run(
            command, env={**self.variables(), **changes}, cwd=self.folder, capture_output=True, text=True, check=False
        )
        if not self.started.exists():
            raise RuntimeError(f"{command[0]} did not come to run():\n{result.stdout[-3000:]}{result.stderr[-3000:]}")
        return float(self.started.read_text()) - begin

    def cold(self) -> float:
        """Return the seconds with no environment in the store."""
        shutil.rmtree(self.store, ignore_errors=True)
        return self.warm()

    def warm(self) -> float:
        """Return the seconds with the environment in the store."""
        self.started.unlink(missing_ok=True)
        begin = time.monotonic()
        request = {"action": "run", "environ": self.variables(), "watch": [os.getpid()], "attempt": "benchmark"}
        with start_runner(request, env={"PATH": os.defpath}, cwd=self.folder) as process:
            output, errors = process.communicate()
        if not self.started.exists():
            raise RuntimeError(f"the runner did not come to run():\n{output[-3000:]!r}{errors[-3000:]!r}")
        return float(self.started.read_text()) - begin

    def by_hand(self) -> float:
        """Return the seconds of the launcher, run by hand in the environment of the store."""
        (python,) = self.store.glob("*/bin/python")
        return self.seconds_to_run(
            [str(python), "-P", "-u", "-m", "dkist_task", "run", "instrument_ours.tasks:Nothing"]
        )

    def predecessor(self, interpreter: Path) -> Callable[[], float]:
        """Return the run of the predecessor's script on its own Python."""
        script = subprocess.run(
            [str(interpreter), "-W", "ignore", "-c", EXPORT], capture_output=True, text=True, check=True
        ).stdout
        base = subprocess.run(
            [str(interpreter), "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True, check=True
        ).stdout.strip()
        path = f"{base}/bin:{os.environ['PATH']}"
        return lambda: self.seconds_to_run(["bash", "-c", script], PATH=path)

    def operator(self, *, cold: bool) -> float:
        """Return the seconds of Airflow's own operator, without the start of Airflow around it."""
        cache = self.folder / "operator"
        if cold:
            shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(exist_ok=True)
        program = self.folder / "operator_run.py"  # a file: the operator wants to read its callable's source
        program.write_text(OPERATOR)
        result = subprocess.run(
            [sys.executable, str(program), str(cache)],
            env={**self.variables(), "AIRFLOW_HOME": str(self.folder / "airflow"), "PATH": os.environ["PATH"]},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        took = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("TOOK ")]
        if not took:
            raise RuntimeError(f"PythonVirtualenvOperator failed:\n{result.stdout[-3000:]}{result.stderr[-3000:]}")
        return float(took[0])


def compare() -> list[Comparison]:
    """Measure all starts in turns."""
    with tempfile.TemporaryDirectory() as name:
        host = Host(Path(name))
        host.cold()
        host.operator(cold=True)
        # The least of many: what it takes, without what the neighbours take.
        warm = _taken({"runner": host.warm, "hand": host.by_hand}, WARM_ROUNDS, min)
        operator = "PythonVirtualenvOperator with venv_cache_path"
        slow: dict[str, Callable[[], float]] = {
            "cold": host.cold,
            "warm": host.warm,
            "operator, cold": lambda: host.operator(cold=True),
            "operator, warm": lambda: host.operator(cold=False),
        }
        note = "its script with one wheel to install, on its own Python"
        try:
            slow["predecessor"] = host.predecessor(predecessor_interpreter())
        except InterpreterMissingError as error:
            note = str(error)
        taken = _taken(slow, COLD_ROUNDS, statistics.median)
    theirs = taken.get("predecessor")
    added = warm["runner"] - warm["hand"]
    return [
        Comparison(
            "the runner above the launcher by hand",
            added * 1000,
            PROMISED_SECONDS * 1000,
            "the promise",
            unit="ms",
            limit=1,
            note="environment in the store",
        ),
        Comparison("warm start to run()", warm["runner"], warm["hand"], "the launcher by hand"),
        Comparison("warm start to run()", taken["warm"], theirs, NAME, limit=0.2, note=note),
        Comparison("cold start to run()", taken["cold"], theirs, NAME, limit=1, note=note),
        Comparison("warm start to run()", taken["warm"], taken["operator, warm"], operator, limit=1),
        Comparison("cold start to run()", taken["cold"], taken["operator, cold"], operator, note="it verifies nothing"),
    ]


def _taken(
    actions: Mapping[str, Callable[[], float]], rounds: int, pick: Callable[[list[float]], float]
) -> dict[str, float]:
    """Return one of the numbers that each action gave, taken in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            seconds[name].append(action())
    return {name: pick(taken) for name, taken in seconds.items()}


def _write_wheel(folder: Path, name: str, source: str, *, requires: str = "") -> None:
    package = name.replace("-", "_")
    info = f"{package}-1.0.0.dist-info"
    files = {
        f"{package}/__init__.py": "",
        f"{package}/tasks.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\n"
        + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: benchmark\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{package}-1.0.0-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


if __name__ == "__main__":
    report(compare)
