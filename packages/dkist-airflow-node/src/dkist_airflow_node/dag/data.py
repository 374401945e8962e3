"""A workflow as plain values, from which the body of a DAG file makes a DAG."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from dkist_airflow_node.errors import AirflowNodeError
from dkist_workflow import WorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dkist_workflow import Node, Parameter, Workflow

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
    workflow: Workflow,
    *,
    locks: Mapping[tuple[str, ...], Lock] | None = None,
    python: str | None = None,
    is_to_run: bool = True,
) -> DagData:
    """Return a workflow as plain values.

    Parameters
    ----------
    workflow : Workflow
        The workflow, with at least one task.
    locks : Mapping[tuple[str, ...], Lock], optional
        The lock for each set of extras that a node of the workflow names (`Node.pip_extras`). Without locks the
        environment of a task is made from the name and version of the distribution alone, unhashed.
    python : str, optional
        The Python of the workers, ``X.Y``; the running one if not given.
    is_to_run : bool, optional
        Whether the tasks must be able to run. If not, a workflow without locks needs no distribution: where none is
        known, the tasks get no environment, which the runner refuses.

    Raises
    ------
    WorkflowError
        There are no locks, the tasks must run, and no single distribution is known to hold the workflow.
    AirflowNodeError
        There are no locks, the tasks must run, and the workflow's version cannot be one of a distribution; or a lock
        is missing.
    """
    header: dict[str, Any] = {
        "dag_id": workflow.dag_id,
        "name": workflow.workflow_name,
        "version": workflow.workflow_version,
        "description": _first_paragraph(workflow.description)
        or f"{workflow.workflow_name}, version {workflow.workflow_version}",
        "doc": None,
        "tags": _tags(workflow),
        "python": python or f"{sys.version_info.major}.{sys.version_info.minor}",
        "max_active_runs": MAXIMUM_ACTIVE_RUNS,
    }
    if workflow.parameters:
        header["parameters"] = tuple(_parameter_row(parameter) for parameter in workflow.parameters)
    requirement = _requirement(workflow, is_to_run=is_to_run) if locks is None else None
    tasks = []
    for node in workflow.nodes:
        settings = node.settings
        if locks is None:
            environment = {} if requirement is None else {"DKIST_REQUIREMENT": _with_extras(requirement, node)}
        else:
            environment = _lock_environment(workflow, node, locks)
        tasks.append(
            {
                "task_id": node.name,
                "entry_point": node.entry_point,
                "doc": _first_paragraph(node.task.__doc__) or None,
                "environment": environment,
                "upstreams": node.upstream_names,
                "queue": node.resource_queue.value,
                "pool": node.resource_queue.pool or "default_pool",
                # As plain numbers: what a task calls one may be an enumeration's member.
                "retries": int(settings.retries),
                "retry_delay_seconds": float(settings.retry_delay_seconds),
                "timeout_seconds": None if settings.timeout_seconds is None else float(settings.timeout_seconds),
            }
        )
    header["doc"] = _workflow_doc(workflow, header["python"], tasks)
    return DagData(workflow=header, tasks=tuple(tasks))


def _parameter_row(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter as plain values: its name, its default, and the JSON Schema of what it may be."""
    row = {"name": parameter.name, "default": parameter.default, "description": parameter.description}
    return {**row, **parameter.json_schema}


def _tags(workflow: Workflow) -> list[str]:
    """Return category, name, version and the workflow's own tags, sorted, each once."""
    own = {workflow.process_category, workflow.process_name, workflow.workflow_name, workflow.workflow_version}
    return sorted({tag[:100] for tag in own} | set(workflow.tags))  # Airflow keeps 100 characters of a tag


def _workflow_doc(workflow: Workflow, python: str, tasks: Iterable[Mapping[str, Any]]) -> str:
    """Return what Airflow's page of the DAG says, as Markdown: the description, the pools, and what tasks run in.

    It is said once, not for each task, since the database keeps every task of every version. In
    Airflow's narrow box, code in backticks would cover the lines around it.
    """
    pools = sorted({node.resource_queue.pool for node in workflow.nodes if node.resource_queue.pool})
    needed = f"Airflow must have these pools, or tasks stay *scheduled* for ever: {', '.join(pools)}" if pools else ""
    users: dict[str, list[str]] = {}
    for task in tasks:
        environment = task["environment"]
        if "DKIST_LOCK" in environment:
            made_of = (
                f"{environment['DKIST_LOCK'].rpartition('/')[2]}, SHA-256 {environment['DKIST_LOCK_SHA256'][:12]}..."
            )
        elif "DKIST_REQUIREMENT" in environment:
            made_of = f"{environment['DKIST_REQUIREMENT']}, no lock"
        else:
            made_of = "none, as no installed distribution holds the workflow"
        users.setdefault(made_of, []).append(task["task_id"])
    environments = "\n".join(f"- {made_of}: {', '.join(names)}" for made_of, names in users.items())
    built = f"Environments of the tasks, with Python {python}:\n\n{environments}"
    return "\n\n".join(filter(None, (workflow.description, needed, built)))


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


def _requirement(workflow: Workflow, *, is_to_run: bool) -> tuple[str, str] | None:
    """Return what the environments hold; None where nothing is to run and no distribution is known."""
    try:
        return _pinned_distribution(workflow)
    except (AirflowNodeError, WorkflowError, PackageNotFoundError):
        if is_to_run:
            raise
        return None


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


def _first_paragraph(text: str | None) -> str:
    """Return the first paragraph of a docstring: the sections that may follow are for who writes code."""
    return cleandoc(text or "").partition("\n\n")[0]
