"""A workflow of twelve tasks in a row, the size that DAG files are measured at."""

from __future__ import annotations

from dkist_task import TaskBase
from dkist_workflow import Workflow


class _Step(TaskBase):
    def run(self) -> None:
        """Do nothing."""


class Step01(_Step):
    """The first."""


class Step02(_Step):
    """One of twelve."""


class Step03(_Step):
    """One of twelve."""


class Step04(_Step):
    """One of twelve."""


class Step05(_Step):
    """One of twelve."""


class Step06(_Step):
    """One of twelve."""


class Step07(_Step):
    """One of twelve."""


class Step08(_Step):
    """One of twelve."""


class Step09(_Step):
    """One of twelve."""


class Step10(_Step):
    """One of twelve."""


class Step11(_Step):
    """One of twelve."""


class Step12(_Step):
    """The last."""


STEPS = (Step01, Step02, Step03, Step04, Step05, Step06, Step07, Step08, Step09, Step10, Step11, Step12)


def twelve_tasks(version: str) -> Workflow:
    """Return the workflow in a version."""
    workflow = Workflow("benchmark", "twelve", workflow_package="benchmarks", workflow_version=version)
    upstream: type[TaskBase] | None = None
    for step in STEPS:
        workflow.add_node(step, upstreams=upstream)
        upstream = step
    return workflow
