"""What can go wrong between a workflow and Airflow."""

from __future__ import annotations


class AirflowNodeError(Exception):
    """A workflow, an environment or a message could not be handed to Airflow, to a worker or to the bus."""


class AirflowNotInstalledError(AirflowNodeError, ImportError):
    """A DAG was asked for where there is no Airflow."""

    def __init__(self) -> None:
        super().__init__(
            "loading a workflow as a DAG needs Apache Airflow 3, which is not installed; "
            "install 'dkist-airflow-node[airflow]'"
        )
