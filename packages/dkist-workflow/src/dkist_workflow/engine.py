"""How a workflow finds the installed engine without importing it."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from dkist_workflow.errors import EngineNotInstalledError, WorkflowError

if TYPE_CHECKING:
    from pathlib import Path

GROUP = "dkist_workflow.engines"
"""The entry-point group under which a distribution registers an object with the methods of `Engine`."""

WorkflowT_contra = TypeVar("WorkflowT_contra", contravariant=True)
"""The type that an engine takes: `dkist_workflow.Workflow`, which imports this module."""


class Engine(Protocol[WorkflowT_contra]):
    """An object that turns workflows into an engine's own objects and files."""

    def load(self, workflow: WorkflowT_contra) -> Any:
        """Return the engine's own object for a workflow."""

    def export(self, workflow: WorkflowT_contra, folder: Path) -> Path:
        """Write the engine's file for a workflow into a folder, which is made if missing; return its path."""


def installed_engine() -> Engine[Any]:
    """Return the engine that is installed.

    Raises
    ------
    EngineNotInstalledError
        No engine is installed.
    WorkflowError
        More than one engine is installed.
    """
    found = entry_points(group=GROUP)
    if not found:
        raise EngineNotInstalledError
    if len(found) > 1:
        names = ", ".join(sorted(point.value for point in found))
        raise WorkflowError(f"more than one workflow engine is installed ({names}); uninstall all but one")
    (point,) = found
    return cast("Engine[Any]", point.load())
