"""A task's place in a workflow."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from inspect import isabstract, isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, unwrap
from typing import TYPE_CHECKING

from dkist_task import SettingError, TaskBase, TaskSettings
from dkist_workflow.errors import WorkflowError
from dkist_workflow.name import check_name, normalized_name
from dkist_workflow.queue import ResourceQueue

if TYPE_CHECKING:
    from collections.abc import Iterable

_EXTRA = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")


@dataclass(frozen=True)
class Node:
    """A task, what runs before it and what it needs from the worker."""

    task: type[TaskBase]
    """The class whose ``run`` is the work."""
    upstreams: tuple[type[TaskBase], ...] = ()
    """The tasks that must have succeeded before, in the order named."""
    resource_queue: ResourceQueue = ResourceQueue.DEFAULT
    """The kind of worker it runs on."""
    pip_extras: tuple[str, ...] = ()
    """Extras of the instrument distribution in its environment: normalised (PEP 685), sorted, each once."""

    @property
    def name(self) -> str:
        """The task's name: its id in the engine and its `task_name` when it runs."""
        return self.task.__name__

    @property
    def entry_point(self) -> str:
        """Where the launcher finds the class: ``module:class``."""
        return f"{self.task.__module__}:{self.task.__name__}"

    @property
    def upstream_names(self) -> tuple[str, ...]:
        """The names of `upstreams`."""
        return tuple(upstream.__name__ for upstream in self.upstreams)

    @property
    def settings(self) -> TaskSettings:
        """What the task asks of the engine."""
        return TaskSettings.of(self.task)


def check_task(task: object) -> type[TaskBase]:
    """
    Return a task class that another process can import by name and the engine can run.

    Raises
    ------
    WorkflowError
        It is no concrete subclass of `TaskBase`, it cannot be imported by its name, or its retry settings are unusable.
    """
    if not isinstance(task, type) or not issubclass(task, TaskBase) or task is TaskBase:
        hint = "; pass the class itself, not an instance" if isinstance(task, TaskBase) else ""
        raise WorkflowError(f"task {task!r} is not a subclass of dkist_task.TaskBase{hint}")
    check_name(task.__name__, what="task name")
    if isabstract(task):
        missing = ", ".join(sorted(task.__abstractmethods__))
        raise WorkflowError(f"task {task.__name__!r} is abstract: it does not define {missing}")
    run = unwrap(task.run)
    if iscoroutinefunction(run) or isgeneratorfunction(run) or isasyncgenfunction(run):
        raise WorkflowError(
            f"task {task.__name__!r}: a call of its run does no work, since it is defined with 'async' or 'yield'; "
            "define it without, and call asyncio.run in it where it needs a loop"
        )
    _check_importable(task)
    try:
        TaskSettings.of(task)
    except SettingError as error:
        raise WorkflowError(f"task {task.__name__!r}: {error}") from None
    return task


def _check_importable(task: type[TaskBase]) -> None:
    """Refuse a class that ``from module import name`` does not give in another process."""
    name, module = task.__name__, task.__module__
    if module == "__main__":
        raise WorkflowError(
            f"task {name!r} is defined in '__main__', where no other process can import it; "
            "move it to a module of the instrument package"
        )
    if "<locals>" in task.__qualname__:
        raise WorkflowError(
            f"task {name!r} is defined inside a function ({module}.{task.__qualname__}), where it cannot be "
            "imported by name; move it to the top level of its module"
        )
    if getattr(sys.modules.get(module), name, None) is not task:
        raise WorkflowError(
            f"task {name!r} cannot be imported by name: '{module}.{name}' is not this class "
            f"({task.__qualname__}); define it at the top level of its module under its own name"
        )


def check_extras(task_name: str, pip_extras: Iterable[str] | None) -> tuple[str, ...]:
    """Return the extras normalised, sorted and each once; WorkflowError where one is no name of an extra."""
    if isinstance(pip_extras, str):
        raise WorkflowError(
            f"task {task_name!r}: pip_extras must be a list of names; write [{pip_extras!r}], not {pip_extras!r}"
        )
    extras = set()
    for extra in pip_extras or ():
        if not isinstance(extra, str) or not _EXTRA.fullmatch(extra):
            raise WorkflowError(
                f"task {task_name!r}: {extra!r} in pip_extras is not the name of an extra "
                "(ASCII letters and digits, with '.', '_' and '-' between them)"
            )
        extras.add(normalized_name(extra))
    return tuple(sorted(extras))
