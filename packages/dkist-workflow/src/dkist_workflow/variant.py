"""How the tasks of a variant differ from those of its base."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from dkist_workflow.errors import WorkflowError, errors_name
from dkist_workflow.node import (
    Node,
    TaskReference,
    check_extras,
    check_queue,
    find_node,
    items_of,
    pairs_of,
    reference_text,
)
from dkist_workflow.task_class import check_task_class

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from dkist_task import TaskBase
    from dkist_workflow.queue import ResourceQueue


class DifferenceKind(StrEnum):
    """How a task of a variant differs from the task of the base."""

    REMOVED = "removed"
    """The variant does not have the base's task."""
    REPLACED = "replaced"
    """Another class runs instead of the base's."""
    CHANGED = "changed"
    """The same class runs with another queue or other extras."""
    ADDED = "added"
    """The base has no such task."""


@dataclass(frozen=True)
class NodeDifference:
    """One task in which a variant differs from its base."""

    before: Node | None
    """The base's node, as it was when the variant was made; None for a task that was added."""
    after: Node | None
    """The variant's node; None for a task that was removed."""

    @property
    def name(self) -> str:
        """The name of the task in the variant; in the base where the variant does not have it."""
        node = self.after or self.before
        return node.name if node is not None else ""

    @property
    def kind(self) -> DifferenceKind:
        """What was done to the task."""
        if self.after is None:
            return DifferenceKind.REMOVED
        if self.before is None:
            return DifferenceKind.ADDED
        return DifferenceKind.CHANGED if self.before.task is self.after.task else DifferenceKind.REPLACED

    @property
    def changes(self) -> tuple[str, ...]:
        """What differs, as texts for a person; empty where nothing but the upstreams does."""
        if self.before is None or self.after is None:
            return (self.kind.value,)
        old, new = _facts(self.before), _facts(self.after)
        return tuple(f"{fact} {new[fact]} instead of {old[fact]}" for fact in new if new[fact] != old[fact])

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(self.changes)}"


def varied_nodes(
    base: tuple[Node, ...],
    *,
    replace: Mapping[TaskReference, type[TaskBase]] | None,
    remove: TaskReference | Iterable[TaskReference] | None,
    resource_queue: Mapping[TaskReference, ResourceQueue | None] | None,
    pip_extras: Mapping[TaskReference, Iterable[str] | None] | None,
) -> tuple[tuple[Node, Node], ...]:
    """Return each node of the base that the variant keeps, with the variant's node in its place.

    The order is that of the base. A task whose upstream is removed gets the upstreams of that upstream.

    Parameters
    ----------
    base : tuple of Node
        The nodes of the base, each after its upstreams.
    replace : mapping or None
        From a task of the base to the class that runs in its place.
    remove : task, iterable of tasks or None
        The tasks of the base that the variant does not have.
    resource_queue : mapping or None
        From a task of the variant to its queue.
    pip_extras : mapping or None
        From a task of the variant to its extras.

    Raises
    ------
    WorkflowError
        A task is unknown, is both replaced and removed, cannot be run or would be there twice; or no task is left.
    """
    removed = {_found(base, task, "remove", "base").name for task in items_of(remove)}
    classes = _replacements(base, replace)
    for name in sorted(removed & classes.keys()):
        raise WorkflowError(f"task {name!r} is both replaced and removed; do one of the two")
    kept = [node for node in base if node.name not in removed]
    if not kept:
        raise WorkflowError("remove names every task; keep one at least")
    names = {node.name: _name_in_variant(node, classes.get(node.name)) for node in kept}
    _check_names(names)
    upstreams = _upstreams_in_variant(base, names)
    varied = {
        names[node.name]: dataclasses.replace(
            node,
            task=classes.get(node.name, node.task),
            name=names[node.name],
            upstream_names=upstreams[node.name],
        )
        for node in kept
    }
    for node, queue in _needs(varied, resource_queue, "resource_queue"):
        varied[node.name] = dataclasses.replace(node, resource_queue=check_queue(node.name, queue))
    for node, extras in _needs(varied, pip_extras, "pip_extras"):
        varied[node.name] = dataclasses.replace(node, pip_extras=check_extras(node.name, extras))
    return tuple(zip(kept, varied.values(), strict=True))


def node_differences(
    nodes: Iterable[Node], origins: Mapping[str, Node], removed: Iterable[Node]
) -> tuple[NodeDifference, ...]:
    """Return how the nodes of a variant differ from those of its base, edges left aside.

    Parameters
    ----------
    nodes : iterable of Node
        The nodes of the variant.
    origins : mapping of str to Node
        From the name of a node to the node of the base in whose place it stands.
    removed : iterable of Node
        The nodes of the base that the variant does not have.
    """
    gone = [NodeDifference(before=node, after=None) for node in removed]
    compared = (NodeDifference(before=origins.get(node.name), after=node) for node in nodes)
    return (*gone, *(each for each in compared if each.changes))


def _facts(node: Node) -> dict[str, str]:
    """Return what a variant can change in a node, as texts."""
    return {
        "class": node.entry_point,
        "queue": node.resource_queue.value,
        "extras": " and ".join(node.pip_extras) or "none",
    }


def _found(nodes: Collection[Node], task: object, argument: str, owner: str) -> Node:
    """Return the node of a task; raise an error that names the argument where there is none."""
    with errors_name(argument):
        node = find_node(nodes, task)
        if node is None:
            tasks = ", ".join(node.name for node in nodes)
            raise WorkflowError(f"the {owner} has no task {reference_text(nodes, task)}; its tasks are {tasks}")
    return node


def _replacements(base: tuple[Node, ...], replace: object) -> dict[str, type[TaskBase]]:
    """Return the classes that run in place of others, by the name in the base."""
    classes: dict[str, type[TaskBase]] = {}
    for old, new in pairs_of(replace, "replace"):
        node = _found(base, old, "replace", "base")
        with errors_name("replace"):
            classes[node.name] = check_task_class(new)
            if new is node.task:
                raise WorkflowError(f"task {node.name!r} is replaced by itself; leave it out")
    return classes


def _name_in_variant(node: Node, replacement: type[TaskBase] | None) -> str:
    """Return the name of a node: a replacement brings its own, unless the node has one of its own."""
    return node.name if replacement is None or node.has_own_name else replacement.__name__


def _check_names(names: Mapping[str, str]) -> None:
    """Refuse a name that two tasks of the variant would have."""
    olds: dict[str, str] = {}
    for old, new in names.items():
        other = olds.setdefault(new, old)
        if other != old:
            replaced = old if old != new else other
            raise WorkflowError(
                f"replace: task {new!r}, which is to replace {replaced!r}, would be in the variant twice; "
                f"remove the other one, or replace {replaced!r} by another class"
            )


def _upstreams_in_variant(base: tuple[Node, ...], names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the upstreams that every node of the base has, or would have, in the variant."""
    upstreams: dict[str, tuple[str, ...]] = {}
    for node in base:
        found = (
            name
            for upstream in node.upstream_names
            for name in ((names[upstream],) if upstream in names else upstreams[upstream])
        )
        upstreams[node.name] = tuple(dict.fromkeys(found))
    return upstreams


def _needs(varied: Mapping[str, Node], values: object, argument: str) -> Iterator[tuple[Node, object]]:
    """Yield each node of the variant that an argument gives something, and what it gives."""
    for task, value in pairs_of(values, argument):
        yield _found(varied.values(), task, argument, "variant"), value
