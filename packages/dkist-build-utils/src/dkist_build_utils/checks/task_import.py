"""Import tasks as the launcher on a worker would: a program for another interpreter, standard library only.

``python -P task_import.py REQUEST ANSWER``

REQUEST is a JSON file with the members

- ``path``: the ``sys.path`` to use, or null for the interpreter's own;
- ``seconds``: after how long a process that has not ended is ended by SIGALRM;
- ``environments``: a list of objects, one for each environment to imitate:
  ``tasks``, a list of ``module:Class``, and ``absent``, the top-level modules that it hides: an object from the name of
  each to the distributions that hold it.

The program adds JSON lines to ANSWER:

- ``["task", environment, task, problem, missing]`` for each task of each environment: the number of the environment,
  the task, its problem or null, and the name of the missing module or null;
- ``["loaded", environments, files, folders]`` at the end of each process: the files of all modules that it imported
  for these environments, and the folders in which the import system looked.

The exit status is 0 after the last task. A task without a line is one whose import ended the interpreter.

Environments share the work. One process imports for all of them, until they differ: in the module that is wanted next,
or in the answer to a look-up of a module that only some of them hide. There the process forks, and each part goes on
with its own answer. So each environment sees what it would see in a process of its own, and imports its own tasks only.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.machinery
import inspect
import json
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from types import ModuleType

Problem = tuple[str | None, str | None]
"""The problem of a task and the missing module, each None if there is none."""


class Environments:
    """The environments that this process imports for; a fork leaves some of them to a child.

    Parameters
    ----------
    absent : sequence of mapping of str to str
        What each environment hides: the names of the modules, and the distributions that hold them.
    seconds : int
        After how long a process is ended.
    """

    def __init__(self, absent: Sequence[Mapping[str, str]], seconds: int) -> None:
        self._absent = absent
        self._seconds = seconds
        self._children: list[int] = []
        self.here = list(range(len(absent)))
        """The numbers of those that are left to this process."""
        self.is_child = False
        """Whether this process was forked."""
        signal.alarm(seconds)

    def hide(self, module: str) -> bool:
        """Return whether a top-level module is hidden; if only some environments hide it, a child takes those."""
        hiding = [number for number in self.here if module in self._absent[number]]
        if len(hiding) not in {0, len(self.here)}:
            self.leave(hiding)
        # In the child, all environments that are left hide it; in this process none does.
        return module in self._absent[self.here[0]]

    def leave(self, numbers: Collection[int]) -> None:
        """Fork: in the child, the environments with these numbers are left, and the others in this process."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with warnings.catch_warnings():
            # An imported module may have started a thread. If that makes a child hang, our caller tries again alone.
            warnings.simplefilter("ignore")
            child = os.fork()
        is_child = child == 0
        self.here = [number for number in self.here if (number in numbers) == is_child]
        if is_child:
            self.is_child, self._children = True, []
            signal.alarm(self._seconds)
        else:
            self._children.append(child)

    def holders(self, module: str) -> str | None:
        """Return the distributions that hold a module that is hidden here; None if it is not hidden."""
        return self._absent[self.here[0]].get(module)

    def differences(self, others: Collection[int]) -> int:
        """Return how many modules only some of a group hide: the group that stays here, and the one that leaves.

        At the look-up of each such module a group may have to fork again.
        """
        stay = [number for number in self.here if number not in others]
        count = 0
        for numbers in (stay, others):
            hidden = [set(self._absent[number]) for number in numbers]
            count += len(hidden[0].union(*hidden) - hidden[0].intersection(*hidden)) if hidden else 0
        return count

    def wait(self) -> None:
        """Wait for the end of every child."""
        for child in self._children:
            os.waitpid(child, 0)


class Without:
    """A finder that hides some top-level modules from another finder.

    Parameters
    ----------
    finder : object
        The other finder, an entry of ``sys.meta_path``.
    environments : Environments
        What hides modules.
    """

    def __init__(self, finder: Any, environments: Environments) -> None:
        self._finder = finder
        self._environments = environments

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec that the other finder finds; None for a hidden module."""
        if self._environments.hide(name.partition(".")[0]):
            return None
        spec: importlib.machinery.ModuleSpec | None = self._finder.find_spec(name, path, target)
        return spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


class Importer:
    """Imports modules, and keeps the first error of each: a second attempt may succeed on what the first one left.

    Parameters
    ----------
    environments : Environments
        What hides modules.
    """

    def __init__(self, environments: Environments) -> None:
        self._environments = environments
        self._failed: dict[str, Problem] = {}

    def import_all(self, modules: Mapping[int, Sequence[str]]) -> None:
        """Import the modules that each environment wants, and their packages; those that all of them want first.

        Where no module is left that all want, the environments part such that those that hide nearly the same modules
        stay together: they share the most before they fork again.
        """
        wanted = {number: {part for name in names for part in _packages_of(name)} for number, names in modules.items()}
        while any(wanted[number] for number in self._environments.here):
            here = self._environments.here
            others = {
                name: tuple(number for number in here if name not in wanted[number])
                for name in {name for number in here for name in wanted[number]}
            }
            differences = {left: self._environments.differences(left) for left in set(others.values()) if left}
            name = min(others, key=lambda name: (differences.get(others[name], -1), len(others[name]), len(name), name))
            if others[name]:
                self._environments.leave(others[name])
                continue  # this process or the child, whichever we are, has its own next module
            self._import(name)
            for number in self._environments.here:
                wanted[number].discard(name)

    def problem_of(self, entry_point: str) -> Problem:
        """Return the problem of a task whose module was imported."""
        module_name, _, class_name = entry_point.partition(":")
        for name in _packages_of(module_name):
            if name in self._failed:
                return self._failed[name]
        try:
            task = getattr(sys.modules[module_name], class_name, None)
            base = importlib.import_module("dkist_task").TaskBase
        except (Exception, SystemExit) as error:
            return self._cause(error)
        if not inspect.isclass(task):
            return f"module {module_name!r} has no class {class_name!r} at its top level", None
        if not issubclass(task, base):
            return f"{entry_point} is not a subclass of dkist_task.TaskBase", None
        return None, None

    def _import(self, name: str) -> None:
        if any(package in self._failed for package in _packages_of(name)):
            return
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            self._failed[name] = self._cause(error)

    def _cause(self, error: BaseException) -> Problem:
        for each in _chain(error):
            if isinstance(each, ModuleNotFoundError) and each.name is not None:
                missing = each.name.partition(".")[0]
                holders = self._environments.holders(missing)
                held = f" (of {holders})" if holders is not None else ""
                return f"{_line_of(each)} imports {each.name!r}{held}, which its environment will not have", missing
        return f"{_line_of(error)} raises {type(error).__name__}: {error}", None


def _packages_of(module: str) -> Iterator[str]:
    """Yield the packages around a module, the outermost first, and the module."""
    parts = module.split(".")
    yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


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


def _loaded() -> tuple[list[str], list[str]]:
    """Return the files of all modules, and the folders of all packages."""
    files: set[str] = set()
    folders: set[str] = set(sys.path)
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        for file in (getattr(module, "__file__", None), getattr(spec, "origin", None)):
            if isinstance(file, str) and file.startswith("/"):
                files.add(file)
        with contextlib.suppress(Exception):  # a lazy module, or a namespace whose parent is gone
            folders.update(each for each in getattr(module, "__path__", ()) if isinstance(each, str))
    return sorted(files), sorted(folders)


def main() -> None:
    """Answer one request."""
    gc.disable()  # what imports make stays; looking through it for garbage takes an eighth of the time
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if request["path"] is not None:
        sys.path[:] = request["path"]
    wanted = request["environments"]
    environments = Environments([each["absent"] for each in wanted], request["seconds"])
    sys.meta_path[:] = [Without(finder, environments) for finder in sys.meta_path]
    with Path(sys.argv[2]).open("a", encoding="utf-8") as answer, contextlib.redirect_stdout(sys.stderr):

        def say(*row: object) -> None:
            answer.write(json.dumps(row) + "\n")
            answer.flush()

        importer = Importer(environments)
        # The last one is a name of ours: what the launcher imports before any task.
        importer.import_all(
            {
                number: [task.partition(":")[0] for task in each["tasks"]] + ["dkist_task"]
                for number, each in enumerate(wanted)
            }
        )
        for number in environments.here:
            for task in wanted[number]["tasks"]:
                say("task", number, task, *importer.problem_of(task))
        say("loaded", environments.here, *_loaded())
        environments.wait()
    if environments.is_child:
        os._exit(0)  # what modules registered with atexit is for the process that was started


if __name__ == "__main__":
    main()
