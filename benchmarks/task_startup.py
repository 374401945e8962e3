"""Measure the CPU time that every task pays before its own first line.

The reference is ``import opentelemetry.trace``, which `dkist-task` needs. Two costs are compared to it: that of
``import dkist_task``, and that of the launcher with an empty task and no exporter. All run in a task's
environment: `dkist-task` and its requirements, compiled. The import of the predecessor's base class is compared too.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Comparison, report
from benchmarks.predecessor import NAME, predecessor_interpreter
from harness.interpreter import InterpreterMissingError

ROUNDS = 25
PROJECT = Path(__file__).parents[1] / "packages" / "dkist-task"
FLOOR = "import opentelemetry.trace"
TASK = "from dkist_task import TaskBase\nclass Nothing(TaskBase):\n    def run(self): pass\n"
LAUNCHER = ("-m", "dkist_task", "run", "nothing:Nothing", "--recipe-run-id=1", "--workflow-name=w")


def compare() -> list[Comparison]:
    """Return the cost of an import and of a launch against the reference and the predecessor."""
    with tempfile.TemporaryDirectory() as folder:
        return compare_in(task_environment(Path(folder)))


def task_environment(folder: Path) -> Path:
    """Make an environment that has `dkist-task` alone, as on a worker, and return its interpreter."""
    python = folder / "bin" / "python"
    inherited = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "UV_CONSTRAINT"}}
    install = ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), str(PROJECT)]
    for command in (["uv", "venv", "--quiet", "--python", sys.executable, str(folder)], install):
        subprocess.run(command, env=inherited, check=True)
    return python


def compare_in(interpreter: Path) -> list[Comparison]:
    """Return the comparisons; ours run in the environment of an interpreter."""
    python = [str(interpreter), "-P"]
    commands = {
        FLOOR: [*python, "-c", FLOOR],
        "import": [*python, "-c", "import dkist_task"],
        "launch": [*python, *LAUNCHER, "--workflow-version=1"],
    }
    missing = ""
    try:
        commands["predecessor"] = [
            str(predecessor_interpreter()),
            "-c",
            "from dkist_processing_core import TaskBase",
        ]
    except InterpreterMissingError as error:
        missing = str(error)
    seconds = cpu_seconds(commands)
    return [
        Comparison("import dkist_task, CPU", seconds["import"], seconds[FLOOR], FLOOR, limit=1.2),
        Comparison("launcher without exporter, CPU", seconds["launch"], seconds[FLOOR], FLOOR, limit=1.5),
        Comparison("import TaskBase, CPU", seconds["import"], seconds.get("predecessor"), NAME, note=missing),
    ]


def cpu_seconds(commands: dict[str, list[str]]) -> dict[str, float]:
    """Run the commands in turns and return the median CPU time of each process."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "nothing.py").write_text(TASK)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": folder}
        for turn in range(ROUNDS + 1):
            for name, command in commands.items():
                seconds = cpu_seconds_of(command, environment)
                if turn:  # the first writes bytecode and fills the page cache
                    taken[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def cpu_seconds_of(command: list[str], environment: dict[str, str]) -> float:
    """Run a command and return the CPU time of its process."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    report(compare)
