"""A task's place in a workflow."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dkist_task import TaskBase, TaskSettings
from dkist_task.name import normalized_name
from dkist_workflow.errors import WorkflowError
from dkist_workflow.queue import ResourceQueue

_EXTRA = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")


@dataclass(frozen=True)
class Node:
    """A task of a workflow, the tasks that come before it and what it needs from the worker."""

    task: type[TaskBase]
    """The class whose ``run`` does the work."""
    name: str
    """The task's id in the engine and its `task_name` when it runs: the class's name, unless it has one of its own."""
    upstream_names: tuple[str, ...] = ()
    """The names of the tasks that must have succeeded before, in the order given, each once."""
    resource_queue: ResourceQueue = ResourceQueue.DEFAULT
    """The kind of worker it runs on."""
    pip_extras: tuple[str, ...] = ()
    """Extras of the instrument distribution in its environment: normalised (PEP 685), sorted, each once."""

    @property
    def entry_point(self) -> str:
        """Where the launcher finds the class: ``module:class``."""
        return f"{self.task.__module__}:{self.task.__name__}"

    @property
    def settings(self) -> TaskSettings:
        """What the task class asks of the engine."""
        return TaskSettings.of(self.task)

    @property
    def has_own_name(self) -> bool:
        """Whether the task has another name in the workflow than its class."""
        return self.name != self.task.__name__


TaskReference = type[TaskBase] | str
"""How a caller names a task that is in a workflow: its class, or the name of its own that it was added under."""


def find_node(nodes: Collection[Node], reference: object) -> Node | None:
    """Return the node that a caller names by its class or by its own name; None if there is none.

    Parameters
    ----------
    nodes : collection of Node
        The nodes of a workflow.
    reference : object
        A task class, or the name that a task was added under.

    Raises
    ------
    WorkflowError
        The class was added several times, the name is that of a class that was added once, or it is neither a class
        nor a name.
    """
    if isinstance(reference, TaskBase):
        raise WorkflowError(f"task {reference.task_name!r} is given as an instance; give the class itself")
    if not isinstance(reference, str | type):
        raise WorkflowError(f"{reference!r} is not a task; give a task class, or the name that a task was added under")
    if isinstance(reference, type):
        same = [node for node in nodes if node.task is reference]
        if len(same) > 1:
            names = " or ".join(repr(node.name) for node in same)
            raise WorkflowError(f"task {reference.__name__!r} was added several times; give its name: {names}")
        return same[0] if same else None
    found = next((node for node in nodes if node.name == reference), None)
    if found is not None and not found.has_own_name and sum(node.task is found.task for node in nodes) == 1:
        raise WorkflowError(f"task {reference!r} is given as text; give the class: {reference}, without quotes")
    return found


def reference_text(nodes: Iterable[Node], reference: object) -> str:
    """Return how an error message names what `find_node` did not find in the nodes."""
    if not isinstance(reference, type):
        return repr(reference)
    is_twin = any(node.name == reference.__name__ for node in nodes)
    return repr(reference.__name__) + (" (not the class that was added under this name)" if is_twin else "")


def items_of(values: object) -> Iterator[object]:
    """Yield the values of an argument that takes None, a single task or several tasks."""
    if values is None:
        return
    if isinstance(values, type | str) or not isinstance(values, Iterable):
        yield values
    else:
        yield from values


def pairs_of(values: object, argument: str) -> Iterable[tuple[Any, Any]]:
    """Return the keys and values of an argument that takes None or a dict by task.

    Raises
    ------
    WorkflowError
        It is something else.
    """
    if values is None:
        return ()
    if not isinstance(values, Mapping):
        raise WorkflowError(f"{argument} must be a dict whose keys are tasks, not {values!r}")
    return values.items()


def check_queue(task_name: str, resource_queue: object) -> ResourceQueue:
    """Return the queue of a task, `ResourceQueue.DEFAULT` for None.

    Raises
    ------
    WorkflowError
        There is no such queue.
    """
    if resource_queue is None:
        return ResourceQueue.DEFAULT
    try:
        return ResourceQueue(str(resource_queue))
    except ValueError:
        known = ", ".join(f"ResourceQueue.{queue.name}" for queue in ResourceQueue)
        raise WorkflowError(f"task {task_name!r}: resource_queue {resource_queue!r} is not one of {known}") from None


def check_extras(task_name: str, pip_extras: object) -> tuple[str, ...]:
    """Return the extras of a task normalised, sorted and each once; none for None.

    Raises
    ------
    WorkflowError
        They are not a list, or one is not the name of an extra.
    """
    if pip_extras is None:
        return ()
    if isinstance(pip_extras, str) or not isinstance(pip_extras, Iterable):
        raise WorkflowError(
            f"task {task_name!r}: pip_extras must be a list of names; write [{pip_extras!r}], not {pip_extras!r}"
        )
    extras = set()
    for extra in pip_extras:
        if not isinstance(extra, str) or not _EXTRA.fullmatch(extra):
            raise WorkflowError(
                f"task {task_name!r}: {extra!r} in pip_extras is not the name of an extra "
                "(ASCII letters and digits, with '.', '_' and '-' between them)"
            )
        extras.add(normalized_name(extra))
    return tuple(sorted(extras))
