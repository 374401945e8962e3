"""Each task of a workflow as an Airflow operator that runs in its own Python environment."""

from __future__ import annotations

from dkist_airflow_node.__about__ import __version__
from dkist_airflow_node.dag import Lock, render_dag_file
from dkist_airflow_node.errors import AirflowNodeError, AirflowNotInstalledError
from dkist_airflow_node.messages import publish_failure

__all__ = [
    "AirflowNodeError",
    "AirflowNotInstalledError",
    "Lock",
    "__version__",
    "publish_failure",
    "render_dag_file",
]
