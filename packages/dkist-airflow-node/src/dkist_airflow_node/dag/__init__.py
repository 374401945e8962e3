"""A workflow as an Airflow DAG: its data, the fixed body around it, the file, and the engine."""

from __future__ import annotations

from dkist_airflow_node.dag.data import Lock
from dkist_airflow_node.dag.file import render_dag_file

__all__ = [
    "Lock",
    "render_dag_file",
]
