"""Whether tasks can be imported: tried in an interpreter of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils.checks.cache import Cache, digest_of, files_digest, stable_environment, tree_files
from dkist_build_utils.programs import run_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

IMPORT_PROGRAM = Path(__file__).with_name("task_import.py")
"""The program that imports tasks in another interpreter."""
_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class ImportEnvironment:
    """What an environment is imitated by, and the tasks that are imported in it."""

    entry_points: tuple[str, ...]
    """``module:Class`` of each task."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Top-level modules to hide, and the distributions that hold them."""


@dataclass(frozen=True)
class _Answer:
    """What the program said of some environments."""

    problems: Mapping[tuple[int, str], tuple[str | None, str | None]]
    """The problem of each task and the missing module, by the number of the environment and the task."""
    files: frozenset[str]
    """The files of every module that was imported."""
    folders: frozenset[str]
    """Where the import system looked."""
    is_whole: bool
    """Whether every process came to its end."""
    ended: str
    """How the program ended, for a message where it did not answer for every task."""


def import_faults(
    python: str | Path,
    entry_points: Iterable[str],
    *,
    distribution: str,
    environment: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Import each task in a fresh interpreter with its own modules, and return what is wrong, by entry point.

    Parameters
    ----------
    python : str or Path
        The interpreter.
    entry_points : iterable of str
        ``module:Class`` of each task.
    distribution : str
        The distribution that the environment is made for: the advice names it.
    environment : mapping of str to str, optional
        The environment variables of the interpreter; by default those of this process.

    Returns
    -------
    dict of str to str
        The problem of each task that cannot be imported, by entry point.
    """
    wanted = ImportEnvironment(tuple(sorted(set(entry_points))))
    answer = _asked(python, [wanted], path=None, environment=environment)
    return _faults(wanted, answer, 0, distribution)


def imitated_import_faults(
    python: str | Path, environments: Sequence[ImportEnvironment], *, distribution: str, path: list[str]
) -> list[dict[str, str]]:
    """Import tasks as environments with fewer modules than this one would, and return what is wrong in each.

    What all of them import is imported once. An answer without a fault is remembered for as long as no file that was
    imported, no folder that was searched and no setting has changed; see `Cache`.

    Parameters
    ----------
    python : str or Path
        The interpreter.
    environments : sequence of ImportEnvironment
        What each environment hides, and its tasks.
    distribution : str
        The distribution that the environments are made for: the advice names it.
    path : list of str
        Where the interpreter looks for modules.

    Returns
    -------
    list of dict of str to str
        For each environment, the problem of each task that cannot be imported, by entry point.
    """
    cache = Cache.of_this_user("imports")
    subject = digest_of(
        [
            str(python),
            IMPORT_PROGRAM.read_text(encoding="utf-8"),
            path,
            [[each.entry_points, sorted(each.absent.items())] for each in environments],
            sorted(stable_environment(os.environ).items()),
        ]
    )
    known = cache.read(subject)
    if known is not None:
        files = [*known["files"], *(file for tree in known["trees"] for file in tree_files(Path(tree)))]
        if files_digest(files, known["folders"]) == known["digest"]:
            return [{} for _ in environments]
    begun = time.time_ns()
    shared = _asked(python, environments, path=path)
    found = []
    for number, each in enumerate(environments):
        if all((number, task) in shared.problems for task in each.entry_points):
            found.append(_faults(each, shared, number, distribution))
        else:
            # An import ended the process, or hung in a fork of it: only a process of its own shows what it does alone.
            found.append(_faults(each, _asked(python, [each], path=path), 0, distribution))
    if shared.is_whole and not any(found):
        files, folders, trees = sorted(shared.files), sorted(shared.folders), _own_folders(environments, shared.files)
        all_files = [*files, *(file for tree in trees for file in tree_files(Path(tree)))]
        digest = files_digest(all_files, folders, unchanged_since=begun)
        if digest is not None:
            cache.write(subject, {"files": files, "folders": folders, "trees": trees, "digest": digest})
    return found


def _asked(
    python: str | Path,
    environments: Sequence[ImportEnvironment],
    *,
    path: list[str] | None,
    environment: Mapping[str, str] | None = None,
) -> _Answer:
    """Run the program once."""
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
        request, said = Path(folder, "request.json"), Path(folder, "answer.jsonl")
        wanted = [{"tasks": list(each.entry_points), "absent": dict(each.absent)} for each in environments]
        request.write_text(
            json.dumps({"path": path, "seconds": _TIMEOUT_SECONDS, "environments": wanted}), encoding="utf-8"
        )
        said.touch()
        ended = _run(python, request, said, folder, environment)
        rows = [json.loads(line) for line in said.read_text(encoding="utf-8").splitlines()]
    loaded = [row[1:] for row in rows if row[0] == "loaded"]
    return _Answer(
        problems={(row[1], row[2]): (row[3], row[4]) for row in rows if row[0] == "task"},
        files=frozenset(file for _, files, _ in loaded for file in files),
        folders=frozenset(each for _, _, folders in loaded for each in folders),
        is_whole=sorted(number for numbers, _, _ in loaded for number in numbers) == list(range(len(environments))),
        ended=ended,
    )


def _own_folders(environments: Sequence[ImportEnvironment], files: frozenset[str]) -> list[str]:
    """Return the folders of the packages that hold tasks: they may hold data that a module reads when imported."""
    tops = {task.partition(":")[0].partition(".")[0] for each in environments for task in each.entry_points}
    found = {file.removesuffix("/__init__.py") for file in files if file.endswith("/__init__.py")}
    return sorted(folder for folder in found if folder.rpartition("/")[2] in tops)


def _faults(environment: ImportEnvironment, answer: _Answer, number: int, distribution: str) -> dict[str, str]:
    """Return the problem of each task of an environment, by entry point."""
    faults = {}
    for task in environment.entry_points:
        if (number, task) not in answer.problems:
            module = task.partition(":")[0]
            faults[task] = (
                f"importing {module!r} {answer.ended}; a module must do nothing but define things when imported"
            )
            break  # the others were not tried
        problem, missing = answer.problems[number, task]
        if problem is not None:
            faults[task] = _advice(problem, missing, distribution)
    return faults


def _run(python: str | Path, request: Path, answer: Path, folder: str, environment: Mapping[str, str] | None) -> str:
    """Run the program and return how it ended, for a message where it did not answer for every task."""
    try:
        done = run_program(
            python,
            IMPORT_PROGRAM,
            [request, answer],
            folder=folder,
            environment=environment,
            timeout=_TIMEOUT_SECONDS + 30,
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {_TIMEOUT_SECONDS} s"
    last = done.stderr.strip().rpartition("\n")[2]
    return f"ended the interpreter with exit status {done.returncode}" + (f" ({last})" if last else "")


def _advice(problem: str, missing: str | None, distribution: str) -> str:
    if missing is None:
        return problem
    return (
        f"{problem}; move the import to a module that only the workflows import, or add what holds {missing!r} to the "
        f"dependencies of {distribution!r}, or to an extra that the task names in pip_extras"
    )
