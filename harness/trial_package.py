"""An instrument package for the distributed run, which kills its tasks and their workers."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.journal import whole_lines
from harness.packages import Package

if TYPE_CHECKING:
    from pathlib import Path

JOURNAL_VARIABLE = "TRIAL_JOURNAL"
"""Environment variable of the workers: the file to which every task appends its start and end."""

HEAVY_TASKS = 6
SLOW_TASKS = 3
SLOW_SECONDS = 20

_TASKS = """
    import json
    import os
    import sys
    import time

    from dkist_task import TaskBase


    class Recorded(TaskBase):
        seconds = 0.5

        def run(self):
            self.record("start")
            time.sleep(self.seconds)
            self.record("end")

        def record(self, event):
            entry = {
                "event": event, "task": self.task_name, "attempt": int(os.environ["DKIST_TRY_NUMBER"]),
                "pid": os.getpid(), "time": time.time(), "prefix": sys.prefix,
            }
            with open(os.environ["TRIAL_JOURNAL"], "a") as journal:
                journal.write(json.dumps(entry) + "\\n")


    class Doomed(Recorded):
        seconds = 120


    class Interrupted(Recorded):
        retries = 1
        retry_delay_seconds = 1

        @property
        def seconds(self):
            return 120 if os.environ["DKIST_TRY_NUMBER"] == "1" else 0.5
"""

_WORKFLOWS = """
    from dkist_processing_trial import tasks
    from dkist_workflow import ResourceQueue, Workflow


    def workflow(name, queue, *classes):
        made = Workflow(process_category="trial", process_name=name, workflow_package="dkist_processing_trial")
        for each in classes:
            made.add_node(each, resource_queue=queue)
        return made


    doomed = workflow("doomed", ResourceQueue.DEFAULT, tasks.Doomed)
    interrupted = workflow("interrupted", ResourceQueue.HIGH_MEMORY, tasks.Interrupted)
    slow = workflow("slow", ResourceQueue.DEFAULT, *tasks.SLOW)
    heavy = workflow("heavy", ResourceQueue.HIGH_MEMORY, *tasks.HEAVY)
"""


def trial_package() -> Package:
    """Return the package: workflows ``doomed``, ``slow``, ``interrupted`` and ``heavy``, of category ``trial``."""
    return Package(
        "dkist-processing-trial",
        modules={
            "tasks": textwrap.dedent(_TASKS)
            + _series("Heavy", HEAVY_TASKS, 0.5)
            + _series("Slow", SLOW_TASKS, SLOW_SECONDS),
            "workflows.all": _WORKFLOWS,
        },
        dependencies=["dkist-task"],
    )


def _series(name: str, count: int, seconds: float) -> str:
    """Return the source of several task classes that take some seconds each, and of a list of them."""
    names = [f"{name}{number}" for number in range(count)]
    classes = "".join(f"\n\nclass {each}(Recorded):\n    seconds = {seconds}\n" for each in names)
    return f"{classes}\n\n{name.upper()} = [{', '.join(names)}]\n"


@dataclass(frozen=True)
class Entry:
    """One line of the journal: a task started or ended."""

    event: str
    """``start`` or ``end`` of its `run`."""
    task: str
    """Name of the task."""
    attempt: int
    """Number of the attempt, from 1."""
    pid: int
    """Process id of the task."""
    time: float
    """Time, in seconds since 1970."""
    prefix: str
    """Its Python environment."""


def read_journal(journal: Path) -> list[Entry]:
    """Return the entries so far, in order."""
    return [Entry(**json.loads(line)) for line in whole_lines(journal)]
