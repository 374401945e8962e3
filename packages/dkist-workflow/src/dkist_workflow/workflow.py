"""A graph of tasks with a name and a version."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkist_workflow.distribution import distribution_of
from dkist_workflow.engine import installed_engine
from dkist_workflow.errors import WorkflowError
from dkist_workflow.name import check_name
from dkist_workflow.node import Node, check_extras, check_task
from dkist_workflow.queue import ResourceQueue
from dkist_workflow.version import default_version

if TYPE_CHECKING:
    import os

    from dkist_task import TaskBase

_TAG_LENGTH = 100
"""Characters of the column in which Airflow keeps a tag."""


class Workflow:
    """
    A graph of tasks with a name and a version.

    An upstream must be added before it is named, so the graph is acyclic by construction and a mistake is reported
    on the line that makes it.

    Parameters
    ----------
    process_category
        What the workflow belongs to, for example the instrument.
    process_name
        What the workflow does, for example ``l0_to_l1``.
    workflow_package
        The dotted name of the package that defines the workflow: pass ``__package__``. The distribution that
        installs it is what the environment of every task holds.
    workflow_version
        Defaults to that of `build_version`, then to the environment variable ``BUILD_VERSION``, then to ``dev``.
    tags
        Further tags for the engine's user interface, besides category, name and version.

    Raises
    ------
    WorkflowError
        A name, the version or a tag is one that Airflow refuses.

    Examples
    --------
    >>> workflow = Workflow(
    ...     process_category="vbi", process_name="l0_to_l1", workflow_package="vbi.workflows", workflow_version="1.0"
    ... )
    >>> workflow.dag_id
    'vbi_l0_to_l1_1.0'
    """

    def __init__(
        self,
        process_category: str,
        process_name: str,
        workflow_package: str,
        workflow_version: str | None = None,
        *,
        tags: Iterable[str] | None = None,
    ) -> None:
        self.process_category = check_name(process_category, what="process_category")
        self.process_name = check_name(process_name, what="process_name")
        check_name(self.workflow_name, what="workflow name")
        if workflow_version is None:
            workflow_version = default_version()
        self.workflow_version = check_name(workflow_version, what=f"workflow {self.workflow_name!r}: workflow_version")
        check_name(self.dag_id, what=f"workflow {self.workflow_name!r}: DAG id")
        if not isinstance(workflow_package, str) or not workflow_package:
            raise WorkflowError(
                f"workflow {self.workflow_name!r}: workflow_package is {workflow_package!r}; pass __package__ "
                "in a module of an importable package"
            )
        self.workflow_package = workflow_package
        self.tags = _checked_tags(self.workflow_name, tags)
        self._nodes: dict[str, Node] = {}

    def __repr__(self) -> str:
        return f"<Workflow {self.dag_id} with {len(self._nodes)} tasks>"

    @property
    def workflow_name(self) -> str:
        """Category and name: the same for every version."""
        return f"{self.process_category}_{self.process_name}"

    @property
    def dag_id(self) -> str:
        """Name and version: one id for each version, so that versions live side by side."""
        return f"{self.workflow_name}_{self.workflow_version}"

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The tasks in the order added: every task comes after its upstreams."""
        return tuple(self._nodes.values())

    @property
    def distribution(self) -> str:
        """
        The name of the installed distribution that holds `workflow_package`.

        Raises
        ------
        WorkflowError
            No distribution does, or more than one.
        """
        try:
            return distribution_of(self.workflow_package)
        except WorkflowError as error:
            raise WorkflowError(f"workflow {self.workflow_name!r}: {error}") from error

    def add_node(
        self,
        task: type[TaskBase],
        upstreams: type[TaskBase] | Iterable[type[TaskBase]] | None = None,
        resource_queue: ResourceQueue | None = None,
        pip_extras: Iterable[str] | None = None,
    ) -> None:
        """
        Add a task after its upstreams.

        Parameters
        ----------
        task
            A subclass of `TaskBase`, defined at the top level of a module of the instrument package.
        upstreams
            The task, or tasks, that must have succeeded before; each added before.
        resource_queue
            The kind of worker it runs on; `ResourceQueue.DEFAULT` if not given.
        pip_extras
            Extras of the instrument distribution that its environment holds.

        Raises
        ------
        WorkflowError
            The task cannot be run by the engine, is in the workflow already, or names an upstream that is not.
        """
        try:
            check_task(task)
            if task.__name__ in self._nodes:
                known = self._nodes[task.__name__].task
                other = "" if known is task else f" (as {known.__module__}.{known.__name__})"
                raise WorkflowError(
                    f"task {task.__name__!r} has been added already{other}; a workflow has each task name once"
                )
            self._nodes[task.__name__] = Node(
                task=task,
                upstreams=self._checked_upstreams(task, upstreams),
                resource_queue=_checked_queue(task, resource_queue),
                pip_extras=check_extras(task.__name__, pip_extras),
            )
        except WorkflowError as error:
            raise WorkflowError(f"workflow {self.workflow_name!r}: {error}") from None

    def load(self) -> Any:
        """
        Return the engine's own object: for Airflow, the same DAG as the one in the exported file.

        Raises
        ------
        WorkflowError
            The workflow is empty, its distribution cannot be told, or no engine is installed. An engine that cannot
            take the workflow raises an error of its own.
        """
        self._check_not_empty()
        return installed_engine().load(self)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """
        Write the engine's file for this workflow.

        Nothing is resolved: the environment of a task is made from the released version's name alone, unhashed.
        A release is made by ``dkist-build export``, which locks every environment.

        Parameters
        ----------
        path
            The folder to write to; made where it is missing.

        Returns
        -------
        Path
            The file: ``<dag_id>.py`` in that folder.

        Raises
        ------
        WorkflowError
            The workflow is empty, its distribution cannot be told, or no engine is installed. An engine that cannot
            take the workflow raises an error of its own.
        """
        self._check_not_empty()
        return installed_engine().export(self, Path(path))

    def _check_not_empty(self) -> None:
        if not self._nodes:
            raise WorkflowError(f"workflow {self.workflow_name!r} has no task; add one with add_node")

    def _checked_upstreams(self, task: type[TaskBase], upstreams: object) -> tuple[type[TaskBase], ...]:
        if upstreams is None:
            return ()
        named = (upstreams,) if isinstance(upstreams, type) or not isinstance(upstreams, Iterable) else upstreams
        checked: dict[type[TaskBase], None] = {}
        for upstream in named:
            name = getattr(upstream, "__name__", repr(upstream))
            node = self._nodes.get(name)
            if node is None or node.task is not upstream:
                raise WorkflowError(
                    f"task {task.__name__!r} names upstream {name!r}, which has not been added; "
                    f"add it before {task.__name__!r}"
                )
            checked[node.task] = None
        return tuple(checked)


def _checked_queue(task: type[TaskBase], resource_queue: object) -> ResourceQueue:
    if resource_queue is None:
        return ResourceQueue.DEFAULT
    try:
        return ResourceQueue(str(resource_queue))
    except ValueError:
        known = ", ".join(f"ResourceQueue.{queue.name}" for queue in ResourceQueue)
        raise WorkflowError(f"task {task.__name__!r}: resource_queue {resource_queue!r} is none of {known}") from None


def _checked_tags(workflow_name: str, tags: Iterable[str] | None) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise WorkflowError(f"workflow {workflow_name!r}: tags must be a list of texts; write [{tags!r}]")
    checked = tuple(tags or ())
    for tag in checked:
        if not isinstance(tag, str) or not tag.strip() or len(tag) > _TAG_LENGTH or not tag.isprintable():
            raise WorkflowError(
                f"workflow {workflow_name!r}: tag {tag!r} must be printable text of 1 to {_TAG_LENGTH} characters"
            )
    return checked
