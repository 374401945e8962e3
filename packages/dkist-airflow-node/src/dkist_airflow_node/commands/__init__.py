"""The command line ``dkist-airflow-node``."""

from __future__ import annotations

from dkist_airflow_node.commands.cli import main

__all__ = ["main"]
