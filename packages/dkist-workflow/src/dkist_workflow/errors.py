"""What can be wrong with a workflow."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class WorkflowError(ValueError):
    """A workflow, one of its tasks or the package that defines it cannot be deployed."""


class EngineNotInstalledError(WorkflowError, ImportError):
    """No distribution that turns a workflow into an engine's own object is installed."""

    def __init__(self) -> None:
        super().__init__(
            "no workflow engine is installed; install 'dkist-airflow-node' to export workflows, "
            "or 'dkist-airflow-node[airflow]' to load them as well"
        )


@contextmanager
def errors_name(where: str) -> Iterator[None]:
    """Put a place, such as ``workflow 'vbi_l0_to_l1'``, before the message of a WorkflowError raised in this block.

    Raises
    ------
    WorkflowError
        The same error with the longer message.
    """
    try:
        yield
    except WorkflowError as error:
        raise WorkflowError(f"{where}: {error}") from None
