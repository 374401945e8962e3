"""Which task of which run: what names a task on its spans, metrics and in its log."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskIdentity:
    """Which task of which run."""

    recipe_run_id: int
    """The recipe run, 1 or more."""

    workflow_name: str
    """The workflow that the task is part of."""

    workflow_version: str
    """The version of that workflow."""

    task_name: str
    """The task's class name, which is its name in the workflow."""

    try_number: int | None = None
    """Which attempt of the engine this is, None where no engine counts."""
