"""Whether tasks can be imported: tried in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils.programs import run_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PROGRAM = Path(__file__).with_name("task_import.py")
_TIMEOUT_SECONDS = 600


def import_faults(
    python: str | Path,
    entry_points: Iterable[str],
    *,
    distribution: str,
    path: list[str] | None = None,
    absent: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Import each task in a fresh interpreter and return what is wrong, by entry point.

    Parameters
    ----------
    python : str or Path
        The interpreter.
    entry_points : iterable of str
        ``module:Class`` of each task.
    distribution : str
        The distribution that the environment is made for: the advice names it.
    path : list of str, optional
        Where the interpreter looks for modules; by default its own folders.
    absent : mapping of str to str, optional
        Top-level modules to hide, and the distributions that hold them.
    environment : mapping of str to str, optional
        The environment variables of the interpreter; by default those of this process.

    Returns
    -------
    dict of str to str
        The problem of each task that cannot be imported, by entry point.
    """
    wanted = sorted(set(entry_points))
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
        request, answer = Path(folder, "request.json"), Path(folder, "answer.jsonl")
        request.write_text(json.dumps({"tasks": wanted, "path": path, "absent": dict(absent or {})}), encoding="utf-8")
        answer.touch()
        ended = _run(python, request, answer, folder, environment)
        rows = [json.loads(line) for line in answer.read_text(encoding="utf-8").splitlines()]
    faults = {entry: _advice(problem, missing, distribution) for entry, problem, missing in rows if problem is not None}
    tried = {entry for entry, _, _ in rows}
    untried = [entry for entry in wanted if entry not in tried]
    if untried:
        module = untried[0].partition(":")[0]
        faults[untried[0]] = f"importing {module!r} {ended}; a module must do nothing but define things when imported"
    return faults


def _run(python: str | Path, request: Path, answer: Path, folder: str, environment: Mapping[str, str] | None) -> str:
    """Run the program and return how it ended, for a message where it did not answer for every task."""
    try:
        done = run_program(
            python, _PROGRAM, [request, answer], folder=folder, environment=environment, timeout=_TIMEOUT_SECONDS
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
