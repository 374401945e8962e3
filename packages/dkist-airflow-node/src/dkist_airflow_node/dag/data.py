"""A workflow as plain values, from which the body of a DAG file makes a DAG."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from inspect import cleandoc
from typing import TYPE_CHECKING, get_type_hints

from dkist_airflow_node.errors import AirflowNodeError
from dkist_task import TaskSettings
from dkist_workflow import WorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dkist_workflow import Node, Parameter, Workflow

MAXIMUM_ACTIVE_RUNS = 100
"""Runs of one version at once: written out, since the host's default (16) would hold back a night's observations."""

_KINDS = get_type_hints(TaskSettings)
"""The type of each setting."""

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
class WorkflowData:
    """What the body of a DAG file reads of a workflow."""

    dag_id: str
    """Its id in Airflow."""
    name: str
    """Its name, the same for every version."""
    version: str
    """Its version."""
    description: str
    """One paragraph, for Airflow's list of DAGs."""
    doc: str
    """Markdown, for Airflow's page of the DAG."""
    tags: list[str]
    """Airflow's tags of the DAG."""
    python: str
    """The Python of the workers, ``X.Y``."""
    max_active_runs: int
    """Runs of this version at once."""
    parameters: tuple[Mapping[str, object], ...]
    """Of each parameter its name, its default and the JSON Schema of what it may be."""

    def literal(self) -> dict[str, object]:
        """Return the values that the DAG file holds; without parameters there is no member for them."""
        values = _members(self)
        if not self.parameters:
            del values["parameters"]
        return values


@dataclass(frozen=True)
class TaskData:
    """What the body of a DAG file reads of a task."""

    task_id: str
    """Its name in the workflow."""
    entry_point: str
    """Where the launcher finds its class: ``module:class``."""
    doc: str | None
    """Markdown, for Airflow's page of the task."""
    environment: dict[str, str]
    """The variables that name its environment; empty where nothing can run."""
    upstreams: tuple[str, ...]
    """The names of the tasks that run before it."""
    queue: str
    """The queue of the workers that run it."""
    pool: str
    """The pool that limits how many tasks of the queue run at once."""
    settings: TaskSettings
    """What the task asks of the engine."""

    def literal(self) -> dict[str, object]:
        """Return the values that the DAG file holds, each setting under its own name."""
        values = _members(self)
        del values["settings"]
        return {**values, **_plain_settings(self.settings)}


@dataclass(frozen=True)
class DagData:
    """What the body of a DAG file makes a DAG from."""

    workflow: WorkflowData
    """The workflow."""
    tasks: tuple[TaskData, ...]
    """A row for each task, after its upstreams."""

    def literals(self) -> tuple[dict[str, object], tuple[dict[str, object], ...]]:
        """Return ``WORKFLOW`` and ``TASKS`` of the DAG file: plain values that can be written as literals."""
        return self.workflow.literal(), tuple(task.literal() for task in self.tasks)


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
    requirement = _requirement(workflow, is_to_run=is_to_run) if locks is None else None
    tasks = []
    for node in workflow.nodes:
        if locks is None:
            environment = {} if requirement is None else {"DKIST_REQUIREMENT": _with_extras(requirement, node)}
        else:
            environment = _lock_environment(workflow, node, locks)
        tasks.append(
            TaskData(
                task_id=node.name,
                entry_point=node.entry_point,
                doc=_first_paragraph(node.task.__doc__) or None,
                environment=environment,
                upstreams=node.upstream_names,
                queue=node.resource_queue.value,
                pool=node.resource_queue.pool or "default_pool",
                settings=node.settings,
            )
        )
    python = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    header = WorkflowData(
        dag_id=workflow.dag_id,
        name=workflow.workflow_name,
        version=workflow.workflow_version,
        description=_first_paragraph(workflow.description)
        or f"{workflow.workflow_name}, version {workflow.workflow_version}",
        doc=_workflow_doc(workflow, python, tasks),
        tags=_tags(workflow),
        python=python,
        max_active_runs=MAXIMUM_ACTIVE_RUNS,
        parameters=tuple(_parameter_row(parameter) for parameter in workflow.parameters),
    )
    return DagData(header, tuple(tasks))


def _members(row: WorkflowData | TaskData) -> dict[str, object]:
    """Return the attributes of a row by name, in their order."""
    return {each.name: getattr(row, each.name) for each in fields(row)}


def _plain_settings(settings: TaskSettings) -> dict[str, float | None]:
    """Return the settings as plain numbers: what a task calls one may be an enumeration's member."""
    return {
        name: None if value is None else int(value) if _KINDS[name] is int else float(value)
        for name, value in asdict(settings).items()
    }


def _parameter_row(parameter: Parameter) -> dict[str, object]:
    """Return a parameter as plain values: its name, its default, and the JSON Schema of what it may be."""
    row = {"name": parameter.name, "default": parameter.default, "description": parameter.description}
    return {**row, **parameter.json_schema}


def _tags(workflow: Workflow) -> list[str]:
    """Return category, name, version and the workflow's own tags, sorted, each once."""
    own = {workflow.process_category, workflow.process_name, workflow.workflow_name, workflow.workflow_version}
    return sorted({tag[:100] for tag in own} | set(workflow.tags))  # Airflow keeps 100 characters of a tag


def _workflow_doc(workflow: Workflow, python: str, tasks: Iterable[TaskData]) -> str:
    """Return what Airflow's page of the DAG says, as Markdown: the description, the pools, and what tasks run in.

    It is said once, not for each task, since the database keeps every task of every version. In
    Airflow's narrow box, code in backticks would cover the lines around it.
    """
    pools = sorted({node.resource_queue.pool for node in workflow.nodes if node.resource_queue.pool})
    needed = f"Airflow must have these pools, or tasks stay *scheduled* for ever: {', '.join(pools)}" if pools else ""
    users: dict[str, list[str]] = {}
    for task in tasks:
        environment = task.environment
        if "DKIST_LOCK" in environment:
            made_of = (
                f"{environment['DKIST_LOCK'].rpartition('/')[2]}, SHA-256 {environment['DKIST_LOCK_SHA256'][:12]}..."
            )
        elif "DKIST_REQUIREMENT" in environment:
            made_of = f"{environment['DKIST_REQUIREMENT']}, no lock"
        else:
            made_of = "none, as no installed distribution holds the workflow"
        users.setdefault(made_of, []).append(task.task_id)
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
