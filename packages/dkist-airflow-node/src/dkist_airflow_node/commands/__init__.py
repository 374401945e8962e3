"""The command line ``dkist-airflow-node``, and how this project's commands print tables, sizes and help."""

from __future__ import annotations

from dkist_airflow_node.commands.cli import main
from dkist_airflow_node.commands.command_help import epilogue
from dkist_airflow_node.commands.size import size_from_text, size_text
from dkist_airflow_node.commands.text_table import table

__all__ = ["epilogue", "main", "size_from_text", "size_text", "table"]
