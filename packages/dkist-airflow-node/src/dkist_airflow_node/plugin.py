"""The plug-in that Airflow loads where this distribution is installed: it listens for failed tasks and runs.

Every process of Airflow imports this, each task's own included. So nothing of ours is imported before it is needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin


class FailureListener:
    """What Airflow calls, in the process where something has failed."""

    @hookimpl
    def on_starting(self, component: Any) -> None:
        """Import what the scheduler needs before its loop begins, and before it forks."""
        if hasattr(component, "_sa_instance_state"):  # a job of Airflow's, which has no type yet; not a task
            import_module("dkist_airflow_node.messages")

    @hookimpl
    def on_task_instance_failed(self, task_instance: Any, error: Any) -> None:
        """Report a task that was marked by hand, or that the scheduler has given up."""
        if hasattr(task_instance, "_sa_instance_state"):  # not in the task's own process, which reports itself
            from dkist_airflow_node.messages import hear_failed_task

            hear_failed_task(task_instance, error)

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: Any) -> None:
        """Report the failed tasks of a run that has ended, or was marked by hand."""
        from dkist_airflow_node.messages import hear_failed_run

        hear_failed_run(dag_run, msg)


class FailurePlugin(AirflowPlugin):
    """The plug-in's name and parts, as Airflow shows them under *Admin* > *Plugins*."""

    name = "dkist-airflow-node"
    listeners: list[Any] = [FailureListener()]  # noqa: RUF012 Airflow declares it so
