"""Measure what the run record adds to a task, against the 5 ms that are promised.

The launcher runs a task that declares 20 inputs and 20 outputs, in an environment of a few hundred distributions, once
with ``DKIST_RECORD_FOLDER`` and once without. Import and launcher are in both, so the difference of their processor
times is the record: its start with the list of distributions, 40 declarations with the size of a file, and its end.
Both write an outcome file, as every worker does.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Comparison, report
from benchmarks.task_startup import cpu_seconds_of
from dkist_task.record import installed_distributions

ROUNDS = 41
PROMISE_SECONDS = 0.005
DECLARATIONS = 40
TASK = f"""
from dkist_task import TaskBase

class Declares(TaskBase):
    def run(self):
        for number in range({DECLARATIONS // 2}):
            self.used(__file__)
            self.generated(__file__)
"""
LAUNCHER = ("-P", "-m", "dkist_task", "run", "declares:Declares", "--recipe-run-id=1", "--workflow-name=w")


def compare() -> list[Comparison]:
    """Return the processor time that a record adds to a task."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "declares.py").write_text(TASK)
        common = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": name,
            "DKIST_OUTCOME_FILE": str(folder / "outcome"),
        }
        environments = {"without": common, "with": common | {"DKIST_RECORD_FOLDER": str(folder / "records")}}
        command = [sys.executable, *LAUNCHER, "--workflow-version=1"]
        differences = []
        for turn in range(ROUNDS + 1):
            taken = {kind: cpu_seconds_of(command, environment) for kind, environment in environments.items()}
            if turn:  # the first writes bytecode and fills the page cache
                differences.append(taken["with"] - taken["without"])
    note = f"median of {ROUNDS} pairs; {DECLARATIONS} declarations, {len(installed_distributions())} distributions"
    added = statistics.median(differences)
    return [Comparison("run record of a task, CPU", added, PROMISE_SECONDS, "promised", limit=1.0, note=note)]


if __name__ == "__main__":
    report(compare)
