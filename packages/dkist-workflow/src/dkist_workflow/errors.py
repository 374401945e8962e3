"""What can be wrong with a workflow."""

from __future__ import annotations


class WorkflowError(ValueError):
    """A workflow, a task in it or the package that holds it is not fit to be deployed."""


class EngineNotInstalledError(WorkflowError, ImportError):
    """No distribution that can turn a workflow into an engine's own object is installed."""

    def __init__(self) -> None:
        super().__init__(
            "no workflow engine is installed; install 'dkist-airflow-node' to export workflows, "
            "or 'dkist-airflow-node[airflow]' to load them as well"
        )
