"""Airflow as the engine of `dkist_workflow`: what ``Workflow.load`` and ``Workflow.export`` call."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from dkist_airflow_node.dag.data import dag_data
from dkist_airflow_node.dag.file import render_dag_file
from dkist_airflow_node.errors import AirflowNotInstalledError
from dkist_airflow_node.worker import runner_modules

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import DAG

    from dkist_workflow import Workflow


def load(workflow: Workflow) -> DAG:
    """Return the workflow as an Airflow DAG, equal to the one in its exported file.

    A package that is not installed, or has a version that cannot be released, has no file. Its DAG has the same tasks,
    edges and queues as if it were; the tasks cannot run.

    Raises
    ------
    AirflowNotInstalledError
        Airflow cannot be imported.
    """
    try:
        from dkist_airflow_node.dag.body import make_dag  # everything else works without Airflow
    except ModuleNotFoundError as error:
        raise AirflowNotInstalledError from error
    header, tasks = dag_data(workflow, is_to_run=False).literals()
    return make_dag(header, tasks, runner_modules())


def export(workflow: Workflow, folder: Path) -> Path:
    """Write the workflow's DAG file without locks; return its path, ``<dag_id>.py`` in the folder.

    A reader sees the file that was there or the new one, never half of it.

    Raises
    ------
    AirflowNodeError, WorkflowError
        As `dkist_airflow_node.dag.data.dag_data`; nothing is written.
    OSError
        The folder cannot be made or written to.
    """
    content = render_dag_file(workflow)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{workflow.dag_id}.py"
    # Not a .py file, which Airflow would parse; as short as the name it stands in for, which may be as long as allowed.
    partial = folder / f".{os.getpid()}-{threading.get_ident()}.partial"
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
