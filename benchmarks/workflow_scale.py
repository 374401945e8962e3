"""Measure the cost of validating and exporting up to a thousand workflows of fifty tasks: it is to grow linearly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from benchmarks.measure import Comparison, report
from harness.packages import Package

COUNTS = (250, 500, 1000)
TASKS = 50
ROUNDS = 3
LARGEST_GROWTH = 1.25
"""The promised limit: the cost of one workflow among many against one among a quarter as many."""

_PROGRAM = """
import json, os, sys
from dkist_build_utils import export, validate_workflows

def seconds():
    return sum(os.times()[:4])  # CPU time of this process and its children, which other load does not change

start = seconds()
found = validate_workflows("many_workflows", airflow=False).workflows
validated = seconds()
folder = export("many_workflows", sys.argv[1], lock=False)
exported = seconds()
size = sum(path.stat().st_size for path in folder.iterdir())
print(json.dumps([len(found), validated - start, exported - validated, size, "airflow" in sys.modules]))
"""

_WORKFLOW = """
from dkist_workflow import Workflow
from many_workflows import tasks

workflow = Workflow("many", "number_{number}", __package__)
for place in range({tasks}):
    upstreams = [getattr(tasks, f"Task{{before}}") for before in (place - 1, place - 2) if before >= 0]
    workflow.add_node(task=getattr(tasks, f"Task{{place}}"), upstreams=upstreams)
"""


def compare() -> list[Comparison]:
    """Measure each count in fresh processes, in turns, and compare the best of the rounds."""
    with tempfile.TemporaryDirectory(prefix="dkist-benchmark-") as name:
        folder = Path(name)
        for count in COUNTS:
            _install(folder / str(count), count)
        rounds = [{count: _measured(folder / str(count), count) for count in COUNTS} for _ in range(ROUNDS)]
    best = {count: [min(column) for column in zip(*(turn[count] for turn in rounds), strict=True)] for count in COUNTS}
    few = COUNTS[0]
    return [
        Comparison(
            f"{what} one of {count} workflows of {TASKS} tasks",
            ours=1000 * best[count][place] / count,
            reference=1000 * best[few][place] / few,
            against=f"one of {few}",
            unit="ms",
            limit=LARGEST_GROWTH if count == COUNTS[-1] else None,
            note=f"{best[count][place]:.1f} s of CPU, {best[count][2] / 1024**2:.0f} MiB, no Airflow",
        )
        for count in COUNTS[1:]
        for place, what in enumerate(("validate", "export"))
    ]


def _install(folder: Path, count: int) -> None:
    """Write an installed package of many workflows."""
    tasks = [
        "from dkist_task import TaskBase",
        *(f"class Task{place}(TaskBase):\n    def run(self): ..." for place in range(TASKS)),
    ]
    package = Package(
        "many-workflows",
        modules={
            "tasks": "\n".join(tasks),
            **{f"workflow_{number}": _WORKFLOW.format(number=number, tasks=TASKS) for number in range(count)},
        },
        dependencies=["dkist-task"],
    )
    with zipfile.ZipFile(package.write_wheel(folder)) as wheel:
        wheel.extractall(folder)


def _measured(folder: Path, count: int) -> tuple[float, float, float]:
    """Return the processor seconds to validate, those to export, and the bytes written."""
    with tempfile.TemporaryDirectory(prefix="dkist-benchmark-") as output:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, output],
            env=os.environ | {"PYTHONPATH": str(folder), "BUILD_VERSION": "1.0.0"},
            capture_output=True,
            text=True,
            check=True,
        )
    found, validated, exported, size, has_airflow = json.loads(done.stdout)
    if found != count or has_airflow:
        raise RuntimeError(f"{found} of {count} workflows; Airflow imported: {has_airflow}")
    return validated, exported, size


if __name__ == "__main__":
    report(compare)
