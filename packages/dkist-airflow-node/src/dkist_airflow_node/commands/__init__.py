"""The command line ``dkist-airflow-node``."""

from __future__ import annotations

from dkist_airflow_node.commands.main import main

__all__ = ["main"]
