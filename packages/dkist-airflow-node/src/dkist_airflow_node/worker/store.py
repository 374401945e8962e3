"""The environment store of a worker: what it holds, what uses it, and removing what nobody needs any more."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dkist_airflow_node.errors import StoreError
from dkist_airflow_node.worker.runner import store as runner_store
from dkist_airflow_node.worker.runner.errors import CannotRunError
from dkist_airflow_node.worker.store_process import StoreProcess, processes_by_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Nothing else in the store's folder is ours to list or to remove.
_ENVIRONMENT_NAME = re.compile(r"[0-9a-f]{32}-py3\.\d+-\w+", re.ASCII)


@dataclass(frozen=True)
class Environment:
    """One environment of the store."""

    path: Path
    """Its folder."""
    is_complete: bool
    """Whether its build came to its end; a build that goes on, or was killed, leaves it incomplete."""
    origin: str
    """The lock or requirement it was first built for; empty where it is not complete."""
    size: int
    """What it takes on the disk, in bytes."""
    last_use: datetime
    """When a task last started in it (UTC)."""
    processes: tuple[StoreProcess, ...]
    """The processes that use it now."""

    @property
    def name(self) -> str:
        """Digest, Python and machine."""
        return self.path.name


def store_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the environment store, as the runner finds it.

    Raises
    ------
    StoreError
        It is not an absolute path, or nothing says where it is.
    """
    try:
        return Path(runner_store.store_folder(environ))
    except CannotRunError as error:
        raise StoreError(str(error)) from error


def environments(store: Path) -> list[Environment]:
    """Return the environments of a store, the one that was not used for the longest time first."""
    folders = _environment_folders(store)
    users = processes_by_environment({folder: _lock_path(folder) for folder in folders})
    found = [_environment(folder, users[folder]) for folder in folders]
    return sorted(found, key=lambda environment: (environment.last_use, environment.name))


def prunable_environments(
    found: list[Environment], *, keep: timedelta | None, max_size: int | None, now: datetime
) -> list[Environment]:
    """Return which of a store's environments go: none that is in use, and the longest unused first.

    Parameters
    ----------
    found
        The environments of the store, as `environments` orders them.
    keep
        Those used within this time stay, unless `max_size` asks for more; None for no limit of age.
    max_size
        Bytes that the store may take; None for no limit of size. What is in use counts, and stays.
    now
        The time that `keep` counts back from.
    """
    total = sum(environment.size for environment in found)
    going = []
    for environment in found:
        is_old = keep is not None and environment.last_use < now - keep
        is_too_much = max_size is not None and total > max_size
        if not environment.processes and (is_old or is_too_much or not environment.is_complete):
            going.append(environment)
            total -= environment.size
    return going


def remove_environment(environment: Environment) -> bool:
    """Remove an environment, unless a task uses it or has used it since it was looked at.

    The environment's lock is held for it, as for a build: a task that starts meanwhile waits, and builds it again.

    Returns
    -------
    bool
        Whether it was removed.
    """
    lock = _lock_path(environment.path)
    with _exclusive_lock(lock) as held:
        if held is None or _last_use(environment.path) != environment.last_use:
            return False
        # A child that a task left behind does not always hold the lock: subprocess closes what it inherits.
        if processes_by_environment({environment.path: lock})[environment.path]:
            return False
        try:
            held.truncate(0)
            held.write(f"'environments prune' (process {os.getpid()})\n".encode())  # who waits prints it
            held.flush()
            (environment.path / runner_store.MARKER).unlink(
                missing_ok=True
            )  # first: what is half removed is never used
            shutil.rmtree(environment.path)
        except OSError as error:
            raise StoreError(f"cannot remove the environment {environment.path}: {error}") from error
    return True


def _environment_folders(store: Path) -> list[Path]:
    try:
        return [path for path in store.iterdir() if _ENVIRONMENT_NAME.fullmatch(path.name) and path.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"the environment store {store} cannot be read: {error.strerror}") from error


def _environment(folder: Path, processes: tuple[StoreProcess, ...]) -> Environment:
    try:
        lines = (folder / runner_store.MARKER).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    return Environment(
        path=folder,
        is_complete=bool(lines),
        origin="\n".join(lines[1:]),
        size=_size(folder),
        last_use=_last_use(folder),
        processes=processes,
    )


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{runner_store.LOCK_SUFFIX}")


def _last_use(folder: Path) -> datetime:
    """Return the lock's time, or the folder's where somebody took the lock away."""
    for path in (_lock_path(folder), folder):
        if path.exists():
            return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return datetime.fromtimestamp(0, UTC)


def _size(folder: Path) -> int:
    """Return what a folder takes on the disk; files that go away meanwhile count nothing."""
    total = 0
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            try:
                status = os.lstat(os.path.join(root, name))  # noqa: PTH118  # 50,000 files: Path costs twice
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                total += status.st_blocks * 512
    return total


@contextmanager
def _exclusive_lock(lock: Path) -> Iterator[BinaryIO | None]:
    """Hold an environment's lock as a build does; give None where somebody else holds it."""
    # Opened to append, like the runner does: the time of the last use stays as it is.
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file
