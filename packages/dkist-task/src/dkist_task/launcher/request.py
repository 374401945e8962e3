"""The request to the launcher: from arguments and environment to a class and a run."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, NamedTuple

from dkist_task.errors import RequestError
from dkist_task.identity import TaskIdentity, recipe_run_id_from, try_number_from
from dkist_task.parameters import parameters_from
from dkist_task.task import TaskBase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


ACTIONS = ("run", "rollback")


class Request(NamedTuple):
    """A task of a run, to be run or rolled back."""

    action: str
    """``run`` or ``rollback``."""

    module_name: str
    """Dotted name of the module that holds the task's class."""

    class_name: str
    """Name of the class within the module."""

    identity: TaskIdentity
    """Which task of which run."""


def request_from(arguments: Sequence[str], environment: Mapping[str, str]) -> Request:
    """Return the request that `arguments` make, completed from `environment`.

    Raises
    ------
    RequestError
        Something is missing or unusable.
    """
    given = _given(arguments)

    def required(name: str, what: str) -> str:
        variable = f"DKIST_{name.upper()}"
        value = given.get(name)
        value = environment.get(variable, "") if value is None else value
        if not value:
            raise RequestError(f"no {what}: give it as an argument or set {variable}")
        return value

    entry_point = required("task", "task (MODULE:CLASS)")
    module_name, class_name = _entry_point(entry_point)
    # The name belongs to the class that the engine asked for, not to another that a task of its own starts.
    name = environment.get("DKIST_TASK_NAME", "") if entry_point == environment.get("DKIST_TASK") else ""
    return Request(
        action=required("action", "action (run or rollback)"),
        module_name=module_name,
        class_name=class_name,
        identity=TaskIdentity(
            recipe_run_id=recipe_run_id_from(required("recipe_run_id", "recipe run id (--recipe-run-id)")),
            workflow_name=required("workflow_name", "workflow name (--workflow-name)"),
            workflow_version=required("workflow_version", "workflow version (--workflow-version)"),
            task_name=name or class_name,
            try_number=try_number_from(environment.get("DKIST_TRY_NUMBER", "")),
            parameters=parameters_from(environment.get("DKIST_PARAMETERS", "")),
        ),
    )


def _given(arguments: Sequence[str]) -> Mapping[str, str | None]:
    """Return what the arguments say, by name."""
    action, *rest = arguments or [""]
    if action in ACTIONS and (not rest or (len(rest) == 1 and not rest[0].startswith("-"))):
        # So the runner starts every task, and needs no parser, which takes long to import.
        return {"action": action, "task": rest[0] if rest else None}
    import argparse

    class Parser(argparse.ArgumentParser):
        """A parser that reports a wrong argument in one line."""

        def error(self, message: str) -> NoReturn:
            raise RequestError(message)

    parser = Parser(
        prog="python -m dkist_task",
        description="Run or roll back one task.",
        allow_abbrev=False,
        # A given width saves an import.
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
    )
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("task", nargs="?", metavar="MODULE:CLASS", help="the task's class [DKIST_TASK]")
    parser.add_argument("--recipe-run-id", metavar="N", help="a positive integer [DKIST_RECIPE_RUN_ID]")
    parser.add_argument("--workflow-name", metavar="NAME", help="[DKIST_WORKFLOW_NAME]")
    parser.add_argument("--workflow-version", metavar="VERSION", help="[DKIST_WORKFLOW_VERSION]")
    return vars(parser.parse_args(arguments))


def task_class_from(request: Request) -> type[TaskBase]:
    """Import and return the class that `request` names.

    Raises
    ------
    RequestError
        There is no such module or class, or the class is not a task. What the module itself raises on import passes.
    """
    module_name, class_name = request.module_name, request.class_name
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise RequestError(f"no module {module_name!r}: {error}") from error
    found = getattr(module, class_name, None)
    if found is None:
        place = getattr(module, "__file__", None) or "which has no file"
        raise RequestError(f"no class {class_name!r} in module {module_name!r} ({place})")
    if not (isinstance(found, type) and issubclass(found, TaskBase)):
        raise RequestError(f"{module_name}:{class_name} is not a TaskBase: a task is a subclass of dkist_task.TaskBase")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise RequestError(f"{module_name}:{class_name} cannot be run: it does not define {missing}")
    return found


def _entry_point(text: str) -> tuple[str, str]:
    """Return module and class of ``MODULE:CLASS``."""
    module_name, colon, class_name = text.partition(":")
    if not (colon and class_name.isidentifier() and all(part.isidentifier() for part in module_name.split("."))):
        raise RequestError(f"{text!r} is not MODULE:CLASS, such as instrument.tasks:Calibrate")
    return module_name, class_name
