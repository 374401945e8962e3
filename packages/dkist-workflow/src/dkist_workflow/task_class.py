"""Which classes can be a task of a workflow."""

from __future__ import annotations

import sys
from inspect import isabstract, isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, unwrap

from dkist_task import SettingError, TaskBase, TaskSettings
from dkist_workflow.errors import WorkflowError
from dkist_workflow.name import check_name


def check_task_class(task: object) -> type[TaskBase]:
    """Return a task class that the engine can run and another process can import by its name.

    Parameters
    ----------
    task : object
        The class.

    Raises
    ------
    WorkflowError
        It is not a concrete subclass of `TaskBase`, cannot be imported by its name, or has a setting that the engine
        cannot use.
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
            f"task {task.__name__!r}: its run is defined with 'async' or 'yield', so calling it does no work; "
            "define it without, and call asyncio.run in it where it needs a loop"
        )
    _check_importable(task)
    try:
        TaskSettings.of(task)
    except SettingError as error:
        raise WorkflowError(f"task {task.__name__!r}: {error}") from None
    return task


def _check_importable(task: type[TaskBase]) -> None:
    """Refuse a class that ``from module import name`` does not find in another process."""
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
