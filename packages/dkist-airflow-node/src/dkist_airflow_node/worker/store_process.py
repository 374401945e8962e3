"""The processes of this host that use an environment of the store."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PROC = Path("/proc")


@dataclass(frozen=True)
class StoreProcess:
    """A process that uses an environment: a task, a build, or a child that one of them left behind."""

    pid: int
    """Its process id."""
    command: str
    """Its command line."""
    task: str
    """The task it belongs to, ``MODULE:CLASS``; empty if it is of none."""
    workflow: str
    """The id of that task's DAG."""
    recipe_run_id: str
    """The recipe run of that task."""


def processes_by_environment(locks: Mapping[Path, Path]) -> dict[Path, tuple[StoreProcess, ...]]:
    """Return the processes that use each environment.

    A process uses an environment if it has the environment's lock file open, was started with it as ``VIRTUAL_ENV``,
    works in its folder, or runs or maps a file of it. Only root sees the processes of other users, but a store belongs
    to one user.

    Parameters
    ----------
    locks
        The lock file of each environment's folder.
    """
    lock_ids = {folder: _file_id(lock) for folder, lock in locks.items()}
    paths = {folder: {os.fsencode(folder) + b"/", os.fsencode(folder.resolve()) + b"/"} for folder in locks}
    users: dict[Path, list[StoreProcess]] = {folder: [] for folder in locks}
    seen = {os.getpid()}
    for _ in range(3):  # a process that forks and ends while we look would hide its child from a single look
        for pid in sorted({int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()} - seen):
            seen.add(pid)
            with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                open_files = set(_open_file_ids(pid))
                traces = _traces(pid)
                for folder in locks:
                    if lock_ids[folder] in open_files or any(path in traces for path in paths[folder]):
                        users[folder].append(_store_process(pid))
    return {folder: tuple(found) for folder, found in users.items()}


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _open_file_ids(pid: int) -> Iterator[tuple[int, int] | None]:
    for link in (_PROC / str(pid) / "fd").iterdir():
        with suppress(FileNotFoundError):
            yield _file_id(link)


def _traces(pid: int) -> bytes:
    """Return the paths that tie a process to an environment: each environment's own ends in a slash."""
    process = _PROC / str(pid)
    environment = _variables(pid).get(b"VIRTUAL_ENV", b"")
    command = (process / "cmdline").read_bytes()
    cwd = os.fsencode((process / "cwd").readlink())
    return b"\0".join((environment + b"/", command, cwd + b"/", (process / "maps").read_bytes()))


def _variables(pid: int) -> dict[bytes, bytes]:
    entries = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    return dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)


def _store_process(pid: int) -> StoreProcess:
    variables = _variables(pid)

    def text(name: bytes) -> str:
        return variables.get(name, b"").decode(errors="replace")

    workflow = "_".join(filter(None, (text(b"DKIST_WORKFLOW_NAME"), text(b"DKIST_WORKFLOW_VERSION"))))
    command = (_PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
    command = command.partition(b"\n")[0]  # a runner's holds its whole text
    return StoreProcess(
        pid=pid,
        command=command.decode(errors="replace"),
        task=text(b"DKIST_TASK"),
        workflow=workflow,
        recipe_run_id=text(b"DKIST_RECIPE_RUN_ID"),
    )
