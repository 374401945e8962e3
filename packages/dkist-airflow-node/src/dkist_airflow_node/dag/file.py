"""The file that gives Airflow a workflow: a fixed body around data written as literals."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from dkist_airflow_node.dag.data import dag_data
from dkist_airflow_node.worker import runner_modules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_airflow_node.dag.data import Lock
    from dkist_workflow import Workflow


def render_dag_file(
    workflow: Workflow, *, locks: Mapping[tuple[str, ...], Lock] | None = None, python: str | None = None
) -> bytes:
    """Return the DAG file of a workflow: the same bytes for the same workflow, locks and Python.

    Parameters and errors are those of `dkist_airflow_node.dag.data.dag_data`.
    """
    header, tasks = dag_data(workflow, locks=locks, python=python).literals()
    parts = (
        f"# Workflow {workflow.workflow_name}, version {workflow.workflow_version}: made by dkist-airflow-node.\n",
        "# Do not edit it: export and deploy a new version.\n",
        dag_body(),
        "\n\nWORKFLOW = ",
        _literal(header),
        "\n\nTASKS = ",
        _literal(tasks),
        "\n\nRUNNER = {\n",
        *(f"    {name!r}: r'''{text}''',\n" for name, text in runner_modules().items()),
        "}\n\ndag = make_dag(WORKFLOW, TASKS, RUNNER)\n",
    )
    return "".join(parts).encode()


@cache
def dag_body() -> str:
    """Return the fixed part of a DAG file."""
    return files("dkist_airflow_node.dag").joinpath("body.py").read_text(encoding="utf-8")


def _literal(value: object, indent: str = "") -> str:
    """Return a value of plain types as Python text, one line an item, in its own order."""
    inner = f"{indent}    "
    if isinstance(value, dict):
        rows = [f"{inner}{key!r}: {_literal(item, inner)},\n" for key, item in value.items()]
        return "{\n" + "".join(rows) + indent + "}"
    if isinstance(value, tuple) and value and isinstance(value[0], dict):
        return "(\n" + "".join(f"{inner}{_literal(item, inner)},\n" for item in value) + indent + ")"
    return repr(value)
