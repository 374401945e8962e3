"""A graph of tasks with a name and a version."""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkist_task import dag_id
from dkist_workflow.distribution import distribution_of
from dkist_workflow.engine import installed_engine
from dkist_workflow.errors import WorkflowError, errors_name
from dkist_workflow.name import check_name
from dkist_workflow.node import Node, TaskReference, check_extras, check_queue, find_node, items_of, reference_text
from dkist_workflow.parameter import Parameter, check_parameters
from dkist_workflow.task_class import check_task_class
from dkist_workflow.variant import NodeDifference, node_differences, varied_nodes
from dkist_workflow.version import default_version

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from dkist_task import TaskBase
    from dkist_workflow.queue import ResourceQueue

_TAG_LENGTH = 100
"""Characters of the column in which Airflow keeps a tag."""


class Workflow:
    """A graph of tasks with a name and a version.

    An upstream must be added before it is named, so the graph is acyclic by construction and a mistake is reported
    on the line that makes it.

    Parameters
    ----------
    process_category : str
        What the workflow belongs to, for example the instrument.
    process_name : str
        What the workflow does, for example ``l0_to_l1``.
    workflow_package : str
        The dotted name of the package that defines the workflow: pass ``__package__``. The environment of every
        task holds the distribution that installs this package.
    workflow_version : str, optional
        Defaults to that of `build_version`, then to the environment variable ``BUILD_VERSION``, then to ``dev``.
    tags : iterable of str, optional
        Further tags for the engine's user interface, besides category, name and version.
    parameters : iterable of Parameter, optional
        Values that can be chosen when a run is started, besides the recipe run.
    description : str, optional
        What the workflow is for, in Markdown, for the engine's user interface; its first paragraph also goes into
        lists. For example ``__doc__`` of the module that defines the workflow.

    Raises
    ------
    WorkflowError
        Airflow would refuse a name, the version or a tag; or another value cannot be used.

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
        parameters: Iterable[Parameter] | None = None,
        description: str | None = None,
    ) -> None:
        self.process_category = check_name(process_category, what="process_category")
        self.process_name = check_name(process_name, what="process_name")
        check_name(self.workflow_name, what="workflow name")
        with errors_name(f"workflow {self.workflow_name!r}"):
            version = default_version() if workflow_version is None else workflow_version
            self.workflow_version = check_name(version, what="workflow_version")
            check_name(self.dag_id, what="DAG id")
            if not isinstance(workflow_package, str) or not workflow_package:
                raise WorkflowError(
                    f"workflow_package is {workflow_package!r}; pass __package__ in a module of an importable package"
                )
            self.workflow_package = workflow_package
            self.tags = _checked_tags(tags)
            self.parameters = check_parameters(parameters)
            if not isinstance(description, str | None):
                raise WorkflowError(f"description must be text, not {description!r}")
            self.description = cleandoc(description or "")
        self._nodes: dict[str, Node] = {}
        self._base: Workflow | None = None
        self._origins: dict[str, Node] = {}
        self._removed: tuple[Node, ...] = ()

    def __repr__(self) -> str:
        return f"<Workflow {self.dag_id} with {len(self._nodes)} tasks>"

    @property
    def workflow_name(self) -> str:
        """Category and name: the same for every version."""
        return f"{self.process_category}_{self.process_name}"

    @property
    def dag_id(self) -> str:
        """Name and version: one id for each version, so that versions live side by side."""
        return dag_id(self.workflow_name, self.workflow_version)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The tasks in the order added: every task comes after its upstreams."""
        return tuple(self._nodes.values())

    @property
    def distribution(self) -> str:
        """The name of the installed distribution that holds `workflow_package`.

        Raises
        ------
        WorkflowError
            No distribution does, or more than one.
        """
        with errors_name(f"workflow {self.workflow_name!r}"):
            return distribution_of(self.workflow_package)

    @property
    def base(self) -> Workflow | None:
        """The workflow that this one is a variant of; None for any other workflow."""
        return self._base

    def differences(self) -> tuple[NodeDifference, ...]:
        """Return the tasks in which a variant differs from its base: removed ones first, others in the variant's order.

        A task of which only the upstreams differ, because they were replaced or removed, is not among them.
        """
        return node_differences(self.nodes, self._origins, self._removed) if self._base is not None else ()

    def add_node(
        self,
        task: type[TaskBase],
        upstreams: TaskReference | Iterable[TaskReference] | None = None,
        resource_queue: ResourceQueue | None = None,
        pip_extras: Iterable[str] | None = None,
        *,
        name: str | None = None,
    ) -> None:
        """Add a task after its upstreams.

        Parameters
        ----------
        task : type of TaskBase
            A subclass of `TaskBase`, defined at the top level of a module of the instrument package.
        upstreams : task or iterable of tasks, optional
            The tasks that must succeed first. Each must have been added. A task is given by its class, or by the
            `name` that it was added under.
        resource_queue : ResourceQueue, optional
            The kind of worker it runs on; `ResourceQueue.DEFAULT` if not given.
        pip_extras : iterable of str, optional
            Extras of the instrument distribution that its environment holds.
        name : str, optional
            The task's id in the engine and its `task_name` when it runs. By default the name of its class. Tasks with
            different names can have the same class.

        Raises
        ------
        WorkflowError
            The task cannot be run by the engine, its name is taken, or it names an upstream that was not added.
        """
        with errors_name(f"workflow {self.workflow_name!r}"):
            check_task_class(task)
            task_name = task.__name__ if name is None else check_name(name, what="task name")
            if task_name in self._nodes:
                known = self._nodes[task_name]
                same = "" if known.task is task else f" (as {known.entry_point})"
                raise WorkflowError(
                    f"task {task_name!r} has been added already{same}; give one of the two a name of its own: "
                    "add_node(..., name=...)"
                )
            self._nodes[task_name] = Node(
                task=task,
                name=task_name,
                upstream_names=self._upstream_names(task_name, upstreams),
                resource_queue=check_queue(task_name, resource_queue),
                pip_extras=check_extras(task_name, pip_extras),
            )

    def variant(
        self,
        process_name: str,
        *,
        replace: Mapping[TaskReference, type[TaskBase]] | None = None,
        remove: TaskReference | Iterable[TaskReference] | None = None,
        resource_queue: Mapping[TaskReference, ResourceQueue | None] | None = None,
        pip_extras: Mapping[TaskReference, Iterable[str] | None] | None = None,
        workflow_package: str | None = None,
        tags: Iterable[str] | None = None,
        parameters: Iterable[Parameter] | None = None,
        description: str | None = None,
    ) -> Workflow:
        """Return a new workflow that differs from this one only in what is given here; this one stays as it is.

        Category and version are the same. The order and the edges are kept: a task whose upstream is removed comes
        after the upstreams of that upstream. Tasks that are added to this workflow later are not in the variant.

        Parameters
        ----------
        process_name : str
            What the variant does. Must not be the name of this workflow.
        replace : mapping of task to type of TaskBase, optional
            The class that runs instead of each of these tasks, with the same upstreams, queue and extras. A task that
            was added with a `name` keeps it.
        remove : task or iterable of tasks, optional
            Tasks to leave out.
        resource_queue : mapping of task to ResourceQueue, optional
            New queues, by task of the variant.
        pip_extras : mapping of task to iterable of str, optional
            New extras, by task of the variant.
        workflow_package : str, optional
            The package whose distribution holds the variant's tasks; that of this workflow if not given.
        tags : iterable of str, optional
            The variant's own tags; those of this workflow if not given.
        parameters : iterable of Parameter, optional
            The variant's parameters; those of this workflow if not given.
        description : str, optional
            The variant's description; that of this workflow if not given.

        Raises
        ------
        WorkflowError
            The name is that of this workflow. Or a task is unknown, is both replaced and removed, cannot be run, or
            would be there twice. Or no task is left.
        """
        variant = Workflow(
            process_category=self.process_category,
            process_name=process_name,
            workflow_package=self.workflow_package if workflow_package is None else workflow_package,
            workflow_version=self.workflow_version,
            tags=self.tags if tags is None else tags,
            parameters=self.parameters if parameters is None else parameters,
            description=self.description if description is None else description,
        )
        with errors_name(f"workflow {variant.workflow_name!r}, variant of {self.workflow_name!r}"):
            if variant.workflow_name == self.workflow_name:
                raise WorkflowError("the two have the same name; give the variant another one")
            if not self._nodes:
                raise WorkflowError("the base has no task yet; make the variant after the last add_node")
            pairs = varied_nodes(
                self.nodes, replace=replace, remove=remove, resource_queue=resource_queue, pip_extras=pip_extras
            )
        variant._base = self
        variant._nodes = {node.name: node for _, node in pairs}
        variant._origins = {node.name: origin for origin, node in pairs}
        kept = {origin.name for origin, _ in pairs}
        variant._removed = tuple(node for node in self.nodes if node.name not in kept)
        return variant

    def load(self) -> Any:
        """Return the engine's own object: for Airflow, the same DAG as the one in the exported file.

        Raises
        ------
        WorkflowError
            The workflow has no task, or no engine is installed. An engine that cannot use the workflow raises an
            error of its own.
        """
        self._check_not_empty()
        return installed_engine().load(self)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write the engine's file for this workflow.

        Nothing is resolved: the environment of a task is made from the name of the released version alone, without
        hashes. ``dkist-build export`` makes a release, with a lock for every environment.

        Parameters
        ----------
        path : path-like
            The folder to write to; made where it is missing.

        Returns
        -------
        Path
            The file: ``<dag_id>.py`` in that folder.

        Raises
        ------
        WorkflowError
            The workflow has no task, or no engine is installed. An engine that cannot use the workflow raises an
            error of its own.
        """
        self._check_not_empty()
        return installed_engine().export(self, Path(path))

    def _check_not_empty(self) -> None:
        if not self._nodes:
            raise WorkflowError(f"workflow {self.workflow_name!r} has no task; add one with add_node")

    def _upstream_names(self, task_name: str, upstreams: object) -> tuple[str, ...]:
        """Return the names of a task's upstreams, each once."""
        names: dict[str, None] = {}
        for upstream in items_of(upstreams):
            with errors_name(f"task {task_name!r}: upstreams"):
                node = find_node(self.nodes, upstream)
            if node is None:
                raise WorkflowError(
                    f"task {task_name!r} names upstream {reference_text(self.nodes, upstream)}, "
                    f"which has not been added; add it before {task_name!r}"
                )
            names[node.name] = None
        return tuple(names)


def _checked_tags(tags: Iterable[str] | None) -> tuple[str, ...]:
    """Return the tags; none for None."""
    if isinstance(tags, str):
        raise WorkflowError(f"tags must be a list of texts; write [{tags!r}]")
    checked = tuple(tags or ())
    for tag in checked:
        if not isinstance(tag, str) or not tag.strip() or len(tag) > _TAG_LENGTH or not tag.isprintable():
            raise WorkflowError(f"tag {tag!r} must be printable text of 1 to {_TAG_LENGTH} characters")
    return checked
