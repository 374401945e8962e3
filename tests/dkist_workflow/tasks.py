"""Task classes for the tests: importable by name, as the tasks of a workflow must be."""

from __future__ import annotations

from dkist_task import TaskBase


class Parse(TaskBase):
    """A first task."""

    def run(self) -> None:
        """Do nothing."""


class Calibrate(TaskBase):
    """A task that is tried again."""

    retries = 2
    retry_delay_seconds = 5
    timeout_seconds = 60.5

    def run(self) -> None:
        """Do nothing."""


class Assemble(TaskBase):
    """A last task."""

    def run(self) -> None:
        """Do nothing."""


class Copy(TaskBase):
    """A task that a workflow has several times."""

    def run(self) -> None:
        """Do nothing."""


class LoadLocal(TaskBase):
    """A task of a trial."""

    def run(self) -> None:
        """Do nothing."""


def make_task(name: str, **attributes: object) -> type[TaskBase]:
    """Return a new task class that can be imported from this module by its name."""
    task = type(name, (TaskBase,), {"run": lambda _: None, "__module__": __name__, **attributes})
    globals()[name] = task
    return task


def forget_task(name: str) -> None:
    """Make a class of `make_task` impossible to import."""
    del globals()[name]
