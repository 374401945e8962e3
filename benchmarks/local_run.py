"""What ``dkist-build run`` adds to a task: 200 tasks that do nothing, beside ``make -j2`` on the same commands.

Both run two at a time, with the same variables and a log file for each task. What ``make`` takes is the launcher alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path

from benchmarks.measure import Comparison, interleaved, report

TASKS = 200
LAYERS = 20
"""Each task depends on one of the layer before it."""
JOBS = 2
PROMISED_MILLISECONDS = 20.0
NAME = f"{TASKS} tasks, two at once"


def compare() -> list[Comparison]:
    """Run the workflow both ways in turns."""
    make = shutil.which("make")
    if make is None:
        return [Comparison(NAME, 0.0, None, "make -j2", limit=1.3, note="make is not installed")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_package(folder / "site")
        write_makefile(folder)
        environ = os.environ | {"PYTHONPATH": str(folder / "site")}
        numbers = count()

        def run(command: list[str]) -> None:
            subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)

        def local_run() -> None:
            options = ["--recipe-run-id", "1", "--jobs", str(JOBS), "--folder", f"run-{next(numbers)}"]
            run([sys.executable, "-m", "dkist_build_utils", "run", "benchmark_tasks", *options])

        def launcher_alone() -> None:
            work = folder / f"make-{next(numbers)}"
            for inner in ("logs", "outcomes", "spans"):
                (work / inner).mkdir(parents=True)
            run([make, f"-j{JOBS}", f"WORK={work}", "all"])

        seconds = interleaved({"run": local_run, "make": launcher_alone}, rounds=2, warm_up=0)
    added = 1000 * (seconds["run"] - seconds["make"]) / TASKS
    return [
        Comparison(NAME, seconds["run"], seconds["make"], f"make -j{JOBS}"),
        Comparison("added to a task", added, PROMISED_MILLISECONDS, "promised", "ms", limit=1),
    ]


def upstream_of(number: int) -> int | None:
    """Return the task that a task depends on, None in the first layer."""
    width = TASKS // LAYERS
    return None if number < width else number - width


def write_package(site: Path) -> None:
    """Write a package of one workflow."""
    package = site / "benchmark_tasks"
    package.mkdir(parents=True)
    classes = [f"class T{number}(TaskBase):\n    def run(self) -> None: ...\n" for number in range(TASKS)]
    (package / "tasks.py").write_text("from dkist_task import TaskBase\n" + "".join(classes))
    nodes = []
    for number in range(TASKS):
        upstream = upstream_of(number)
        nodes.append(f"main.add_node(T{number}, upstreams={None if upstream is None else f'T{upstream}'})\n")
    head = "from dkist_workflow import Workflow\nfrom benchmark_tasks.tasks import *\n"
    (package / "__init__.py").write_text(
        f"{head}main = Workflow('benchmark', 'tasks', __name__, '1.0')\n{''.join(nodes)}"
    )


def write_makefile(folder: Path) -> None:
    """Write the same commands as rules of make."""
    variables = {
        "DKIST_RECIPE_RUN_ID": "1",
        "DKIST_WORKFLOW_NAME": "benchmark_tasks",
        "DKIST_WORKFLOW_VERSION": "1.0",
        "DKIST_TRY_NUMBER": "1",
        "DKIST_LOG_FORMAT": "records",
        "DKIST_SPAN_FOLDER": "$(WORK)/spans",
        "OTEL_SERVICE_NAME": "benchmark_tasks",
    }
    lines = [f"export {name} = {value}" for name, value in variables.items()]
    lines += [f"all: {' '.join(f't{number}' for number in range(TASKS))}"]
    for number in range(TASKS):
        upstream = upstream_of(number)
        lines.append(f"t{number}: {'' if upstream is None else f't{upstream}'}")
        own = f"DKIST_TASK=benchmark_tasks.tasks:T{number} DKIST_OUTCOME_FILE=$(WORK)/outcomes/T{number}.json"
        lines.append(f"\t@{own} {sys.executable} -P -u -m dkist_task run >$(WORK)/logs/T{number}.log 2>&1")
    (folder / "Makefile").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    report(compare)
