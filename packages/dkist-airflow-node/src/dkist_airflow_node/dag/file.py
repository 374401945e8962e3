"""The file that gives Airflow a workflow: a fixed body around data written as literals."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from dkist_airflow_node.errors import AirflowNodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_workflow import Node, Workflow

MAXIMUM_ACTIVE_RUNS = 100
"""Runs of one version at once: written out, since the host's default (16) would hold back a night's observations."""

# A public version as PEP 440 has it, in any of the spellings that installers normalise.
_RELEASE_VERSION = re.compile(
    r"v?(\d+!)?\d+(\.\d+)*([-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?\d*)?"
    r"(-\d+|[-_.]?(post|rev|r)[-_.]?\d*)?([-_.]?dev[-_.]?\d*)?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class Lock:
    """A file of requirements with hashes, deployed beside the DAG file."""

    file_name: str
    """Its name in the folder of the DAG file."""
    sha256: str
    """The SHA-256 of its bytes, in hexadecimal."""


@dataclass(frozen=True)
class DagData:
    """What the body of a DAG file makes a DAG from: plain values that can be written as literals."""

    workflow: dict[str, Any]
    """The workflow's id, name, version and settings."""
    tasks: tuple[dict[str, Any], ...]
    """One row a task, each after its upstreams."""


def dag_data(
    workflow: Workflow, *, locks: Mapping[tuple[str, ...], Lock] | None = None, python: str | None = None
) -> DagData:
    """
    Return a workflow as plain values.

    Parameters
    ----------
    workflow
        The workflow, with at least one task.
    locks
        The lock for each set of extras that a node of the workflow names (`Node.pip_extras`). Without locks the
        environment of a task is made from the name and version of the distribution alone, unhashed.
    python
        The Python of the workers, ``X.Y``; the running one if not given.

    Raises
    ------
    WorkflowError
        There are no locks, and no single distribution is known to hold the workflow.
    AirflowNodeError
        There are no locks, and the workflow's version cannot be one of a distribution; or a lock is missing.
    """
    header = {
        "dag_id": workflow.dag_id,
        "name": workflow.workflow_name,
        "version": workflow.workflow_version,
        "description": f"{workflow.workflow_name}, version {workflow.workflow_version}",
        "tags": _tags(workflow),
        "python": python or f"{sys.version_info.major}.{sys.version_info.minor}",
        "max_active_runs": MAXIMUM_ACTIVE_RUNS,
    }
    requirement = _pinned_distribution(workflow) if locks is None else ("", "")
    tasks = []
    for node in workflow.nodes:
        if locks is None:
            environment = {"DKIST_REQUIREMENT": _with_extras(requirement, node)}
        else:
            environment = _lock_environment(workflow, node, locks)
        tasks.append(
            {
                "task_id": node.name,
                "entry_point": node.entry_point,
                "environment": environment,
                "upstreams": node.upstream_names,
                "queue": node.resource_queue.value,
                "pool": node.resource_queue.pool or "default_pool",
                **asdict(node.settings),
            }
        )
    return DagData(workflow=header, tasks=tuple(tasks))


def render_dag_file(
    workflow: Workflow, *, locks: Mapping[tuple[str, ...], Lock] | None = None, python: str | None = None
) -> bytes:
    """
    Return the DAG file of a workflow: the same bytes for the same workflow, locks and Python.

    Parameters and errors are those of `dag_data`.
    """
    data = dag_data(workflow, locks=locks, python=python)
    parts = (
        f"# Workflow {workflow.workflow_name}, version {workflow.workflow_version}: made by dkist-airflow-node.\n",
        "# Do not edit it: export and deploy a new version.\n",
        dag_body(),
        "\n\nWORKFLOW = ",
        _literal(data.workflow),
        "\n\nTASKS = ",
        _literal(data.tasks),
        "\n\nSCRIPT = r'''",
        task_script(),
        "'''\n\ndag = make_dag(WORKFLOW, TASKS, SCRIPT)\n",
    )
    return "".join(parts).encode()


@cache
def task_script() -> str:
    """Return the script that runs a task in its environment: the same for every task."""
    return files("dkist_airflow_node.worker").joinpath("task_script.sh").read_text(encoding="utf-8")


@cache
def dag_body() -> str:
    """Return the fixed part of a DAG file."""
    return files("dkist_airflow_node.dag").joinpath("body.py").read_text(encoding="utf-8")


def _tags(workflow: Workflow) -> list[str]:
    """Return category, name, version and the workflow's own tags, sorted, each once."""
    own = {workflow.process_category, workflow.process_name, workflow.workflow_name, workflow.workflow_version}
    return sorted({tag[:100] for tag in own} | set(workflow.tags))  # Airflow keeps 100 characters of a tag


def _lock_environment(workflow: Workflow, node: Node, locks: Mapping[tuple[str, ...], Lock]) -> dict[str, str]:
    try:
        lock = locks[node.pip_extras]
    except KeyError:
        raise AirflowNodeError(
            f"workflow {workflow.workflow_name!r}: task {node.name!r}: there is no lock for its extras "
            f"({', '.join(node.pip_extras) or 'none'})"
        ) from None
    # Rendered on the worker, whose folder it is: __file__ would put the path of another host into the database.
    return {"DKIST_LOCK": "{{ dag.folder }}/" + lock.file_name, "DKIST_LOCK_SHA256": lock.sha256}


def _pinned_distribution(workflow: Workflow) -> tuple[str, str]:
    """Return the name and version of the distribution that the environments hold."""
    name = workflow.distribution
    if workflow.workflow_version == "dev":
        return name, version(name)
    if not _RELEASE_VERSION.fullmatch(workflow.workflow_version):
        raise AirflowNodeError(
            f"workflow {workflow.workflow_name!r}: version {workflow.workflow_version!r} cannot be the version of "
            f"a released {name!r} (PEP 440), so no environment could be made for its tasks; "
            "give the version that was released, or 'dev'"
        )
    return name, workflow.workflow_version


def _with_extras(pinned: tuple[str, str], node: Node) -> str:
    name, release = pinned
    extras = f"[{','.join(node.pip_extras)}]" if node.pip_extras else ""
    return f"{name}{extras}=={release}"


def _literal(value: object, indent: str = "") -> str:
    """Return a value of plain types as Python text, one line an item, in its own order."""
    inner = f"{indent}    "
    if isinstance(value, dict):
        rows = [f"{inner}{key!r}: {_literal(item, inner)},\n" for key, item in value.items()]
        return "{\n" + "".join(rows) + indent + "}"
    if isinstance(value, tuple) and value and isinstance(value[0], dict):
        return "(\n" + "".join(f"{inner}{_literal(item, inner)},\n" for item in value) + indent + ")"
    return repr(value)
