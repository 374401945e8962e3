"""The command line ``dkist-airflow-node``, and how this project's commands print tables and sizes."""

from __future__ import annotations

from dkist_airflow_node.commands.cli import main
from dkist_airflow_node.commands.size import size_from_text, size_text
from dkist_airflow_node.commands.text_table import table

__all__ = ["main", "size_from_text", "size_text", "table"]
