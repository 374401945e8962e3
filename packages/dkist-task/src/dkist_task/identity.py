"""Which task of which run: what names a task on its spans, metrics and in its log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

TASK_NAME = "cicd.pipeline.task.name"
RESULT = "cicd.pipeline.task.run.result"

INT64_MAX = 2**63 - 1
"""The largest integer that an attribute can carry."""


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

    def attributes(self) -> dict[str, str | int]:
        """Return what tells this task from every other on a span."""
        task_run_id = f"{self.recipe_run_id}/{self.task_name}"
        named: dict[str, str | int] = {
            "cicd.pipeline.name": self.workflow_name,
            "cicd.pipeline.run.id": str(self.recipe_run_id),
            TASK_NAME: self.task_name,
            "cicd.pipeline.task.run.id": task_run_id,
            "dkist.workflow.version": self.workflow_version,
            "dkist.recipe_run.id": (self.recipe_run_id if self.recipe_run_id <= INT64_MAX else str(self.recipe_run_id)),
        }
        if self.try_number is not None:
            named["dkist.task.try_number"] = self.try_number
            named["cicd.pipeline.task.run.id"] = f"{task_run_id}/{self.try_number}"
        return named

    def environment(self) -> dict[str, str]:
        """Return the variables by which a child process is told what its parent was asked for."""
        return {
            "DKIST_RECIPE_RUN_ID": str(self.recipe_run_id),
            "DKIST_WORKFLOW_NAME": self.workflow_name,
            "DKIST_WORKFLOW_VERSION": self.workflow_version,
            "DKIST_TASK_NAME": self.task_name,
        }

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return what the variables of `environment` say that a parent process set."""
        return cls(
            int(environment["DKIST_RECIPE_RUN_ID"]),
            environment["DKIST_WORKFLOW_NAME"],
            environment["DKIST_WORKFLOW_VERSION"],
            environment["DKIST_TASK_NAME"],
            try_number_from(environment.get("DKIST_TRY_NUMBER", "")),
        )


def try_number_from(text: str) -> int | None:
    """Return the engine's count, None where there is none that can be read: it only labels telemetry."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
