"""Import tasks as the launcher on a worker would: a program for another interpreter, standard library only.

``python -P task_import.py REQUEST ANSWER``

REQUEST is a JSON file with the members

- ``tasks``: list of ``module:Class``;
- ``path``: the ``sys.path`` to use, or null for the interpreter's own;
- ``absent``: the top-level modules to hide: an object from the name of each to the distributions that hold it.

The program adds a line to ANSWER for each task, in their order: a JSON list of the task, its problem or null, and the
name of the missing module or null. The exit status is 0 after the last task. A task without a line is one whose import
ended the interpreter.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import inspect
import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType


class Without:
    """A finder that hides some top-level modules from another finder.

    Parameters
    ----------
    finder : object
        The other finder, an entry of ``sys.meta_path``.
    absent : mapping of str to str
        The names of the modules to hide, and the distributions that hold them.
    """

    def __init__(self, finder: Any, absent: Mapping[str, str]) -> None:
        self._finder = finder
        self._absent = absent

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec that the other finder finds; None for a hidden module."""
        if name.partition(".")[0] in self._absent:
            return None
        spec: importlib.machinery.ModuleSpec | None = self._finder.find_spec(name, path, target)
        return spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


def why_not_importable(entry_point: str, absent: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the problem of a task and the missing module, each None if there is none."""
    module_name, _, class_name = entry_point.partition(":")
    try:
        task = getattr(importlib.import_module(module_name), class_name, None)
        base = importlib.import_module("dkist_task").TaskBase
    except (Exception, SystemExit) as error:
        return _cause(error, absent)
    if not inspect.isclass(task):
        return f"module {module_name!r} has no class {class_name!r} at its top level", None
    if not issubclass(task, base):
        return f"{entry_point} is not a subclass of dkist_task.TaskBase", None
    return None, None


def _cause(error: BaseException, absent: Mapping[str, str]) -> tuple[str, str | None]:
    for each in _chain(error):
        if isinstance(each, ModuleNotFoundError) and each.name is not None:
            missing = each.name.partition(".")[0]
            held = f" (of {absent[missing]})" if missing in absent else ""
            return f"{_line_of(each)} imports {each.name!r}{held}, which its environment will not have", missing
    return f"{_line_of(error)} raises {type(error).__name__}: {error}", None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _line_of(error: BaseException) -> str:
    """Return the line that raised an error, in the user's code rather than in the import system's."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"line {error.lineno} of {_short(error.filename)}"
    return f"line {frames[-1].lineno} of {_short(frames[-1].filename)}" if frames else "the launcher"


def _short(file_name: str) -> str:
    """Return the name of a file relative to the folder that it is imported from."""
    below = [entry for entry in sys.path if entry and file_name.startswith(f"{entry}/")]
    return file_name.removeprefix(f"{max(below, key=len)}/") if below else file_name


def main() -> None:
    """Answer one request."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if request["path"] is not None:
        sys.path[:] = request["path"]
    absent = request["absent"]
    sys.meta_path[:] = [Without(finder, absent) for finder in sys.meta_path]
    with Path(sys.argv[2]).open("a", encoding="utf-8") as answer, contextlib.redirect_stdout(sys.stderr):
        for entry_point in request["tasks"]:
            answer.write(json.dumps([entry_point, *why_not_importable(entry_point, absent)]) + "\n")
            answer.flush()


if __name__ == "__main__":
    main()
