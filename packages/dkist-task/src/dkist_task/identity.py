"""Which task of which run: the values that name a task on its spans, on its metrics and in its log."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self

from dkist_task.errors import RequestError
from dkist_task.parameters import parameters_from

if TYPE_CHECKING:
    from collections.abc import Mapping

TASK_NAME = "cicd.pipeline.task.name"
RESULT = "cicd.pipeline.task.run.result"

INT64_MAX = 2**63 - 1
"""The largest integer that an attribute can carry."""


class TaskIdentity(NamedTuple):
    """Which task of which run."""

    recipe_run_id: int
    """The recipe run, 1 or more."""

    workflow_name: str
    """The workflow that the task is part of."""

    workflow_version: str
    """The version of that workflow."""

    task_name: str
    """The task's name in the workflow: its class's name, unless the workflow gives it another."""

    try_number: int | None = None
    """The attempt that the engine counts, None where no engine runs the task."""

    parameters: Mapping[str, str | int | float | bool] = MappingProxyType({})
    """The parameters of the run, by name."""

    def attributes(self) -> dict[str, str | int | float | bool]:
        """Return the attributes that distinguish this task from every other on a span."""
        task_run_id = f"{self.recipe_run_id}/{self.task_name}"
        named: dict[str, str | int | float | bool] = {
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
        return named | {f"dkist.parameter.{name}": value for name, value in self.parameters.items()}

    def environment(self) -> dict[str, str]:
        """Return the variables that pass this identity to a child process."""
        return {
            "DKIST_RECIPE_RUN_ID": str(self.recipe_run_id),
            "DKIST_WORKFLOW_NAME": self.workflow_name,
            "DKIST_WORKFLOW_VERSION": self.workflow_version,
            "DKIST_TASK_NAME": self.task_name,
        }

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the identity that a parent process wrote into `environment`."""
        return cls(
            int(environment["DKIST_RECIPE_RUN_ID"]),
            environment["DKIST_WORKFLOW_NAME"],
            environment["DKIST_WORKFLOW_VERSION"],
            environment["DKIST_TASK_NAME"],
            try_number_from(environment.get("DKIST_TRY_NUMBER", "")),
            parameters_from(environment.get("DKIST_PARAMETERS", "")),
        )


def dag_id(workflow_name: str, workflow_version: str) -> str:
    """Return the engine's id of one version of a workflow, which also names its DAG file and its notebook.

    Parameters
    ----------
    workflow_name : str
        The name of the workflow.
    workflow_version : str
        Its version.

    Examples
    --------
    >>> dag_id("vbi_l0_to_l1", "1.0.0")
    'vbi_l0_to_l1_1.0.0'
    """
    return f"{workflow_name}_{workflow_version}"


def try_number_from(text: str) -> int | None:
    """Return the engine's count of attempts, None where `text` is not a number: the count only labels telemetry."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def recipe_run_id_from(value: object) -> int:
    """Return a recipe run id from an integer or from its ASCII digits.

    Raises
    ------
    RequestError
        `value` is not a positive integer.
    """
    text = value if isinstance(value, str) else repr(value)
    is_kind = isinstance(value, int | str) and not isinstance(value, bool)
    if not (is_kind and re.fullmatch(r"0*[1-9][0-9]{0,999}", text)):
        shown = text if len(text) <= 40 else f"{text[:40]}..."
        raise RequestError(f"recipe run id {shown!r} is not a positive integer (digits 0-9 only)")
    return int(text)
