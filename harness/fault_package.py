"""An instrument package whose tasks end as a plan says: ``hatch run faults`` writes the plan."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.journal import whole_lines
from harness.packages import Package

if TYPE_CHECKING:
    from pathlib import Path

PLAN_VARIABLE = "FAULT_PLAN"
"""Environment variable of the workers: the folder with ``<recipe run id>.json``, the fates of each task."""

JOURNAL_VARIABLE = "FAULT_JOURNAL"
"""Environment variable of the workers: the file to which every attempt appends its fate before it meets it."""

FATES = ("raise", "exit", "kill", "kill-airflow", "kill-supervisor")
"""How a task may end badly by itself. There are also ``pass``, and ``sleep``, which waits for somebody to end it."""

ONCE = tuple(f"Once{number}" for number in range(6))
"""Tasks of workflow ``fault_many`` without a retry."""

TWICE = ("Twice0", "Twice1")
"""Tasks of workflow ``fault_many`` with one."""

FEW = ("Once0", "Once1", "Once2")
"""Tasks of workflow ``fault_few``."""

_TASKS = """
    import json
    import os
    import signal
    import time
    from pathlib import Path

    from dkist_task import TaskBase


    class Fated(TaskBase):
        def run(self):
            number, attempt = os.environ["DKIST_RECIPE_RUN_ID"], int(os.environ["DKIST_TRY_NUMBER"])
            fates = json.loads(Path(os.environ["FAULT_PLAN"], f"{number}.json").read_text())[self.task_name]
            fate = fates[min(attempt, len(fates)) - 1]
            entry = {"run": int(number), "task": self.task_name, "attempt": attempt, "fate": fate}
            with open(os.environ["FAULT_JOURNAL"], "a") as journal:
                journal.write(json.dumps(entry) + "\\n")
            if fate == "raise":
                raise ValueError("as planned")
            if fate == "exit":
                os._exit(3)
            if fate == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if fate == "kill-airflow":
                os.kill(airflow_process(), signal.SIGKILL)
            if fate == "kill-supervisor":
                os.kill(parent(airflow_process()), signal.SIGKILL)
            if fate != "pass":
                time.sleep(300)


    def airflow_process():
        # The child of the supervisor, which is the parent of the runner.
        pid = os.getpid()
        while not Path(f"/proc/{pid}/cmdline").read_text().startswith("airflow worker"):
            pid = parent(pid)
        return pid


    def parent(pid):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


    class Patient(Fated):
        retries = 1
        retry_delay_seconds = 1
"""

_WORKFLOWS = """
    from dkist_processing_fault import tasks
    from dkist_workflow import Workflow


    def workflow(name, *classes):
        made = Workflow(process_category="fault", process_name=name, workflow_package="dkist_processing_fault")
        for each in classes:
            made.add_node(each)
        return made


    many = workflow("many", *tasks.ONCE, *tasks.TWICE)
    few = workflow("few", *tasks.ONCE[:3])
"""


def fault_package() -> Package:
    """Return the package: workflows ``many`` and ``few``, of category ``fault``, whose tasks run side by side."""
    classes = "".join(f"\n\nclass {name}(Fated):\n    pass\n" for name in ONCE)
    classes += "".join(f"\n\nclass {name}(Patient):\n    pass\n" for name in TWICE)
    lists = f"\n\nONCE = [{', '.join(ONCE)}]\nTWICE = [{', '.join(TWICE)}]\n"
    return Package(
        "dkist-processing-fault",
        modules={"tasks": textwrap.dedent(_TASKS) + classes + lists, "workflows.all": _WORKFLOWS},
        dependencies=["dkist-task"],
    )


@dataclass(frozen=True)
class Met:
    """One line of the journal: an attempt met its fate."""

    run: int
    """The recipe run."""
    task: str
    """Name of the task."""
    attempt: int
    """Number of the attempt, from 1."""
    fate: str
    """Its fate."""


def read_journal(journal: Path) -> list[Met]:
    """Return the fates that were met so far, in order."""
    return [Met(**json.loads(line)) for line in whole_lines(journal)]
