"""The dags folder: where it is, what a manifest in it says, and who may change it."""

from __future__ import annotations

import fcntl
import logging
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils.deployment.leftover import remove_or_name
from dkist_build_utils.errors import BuildError
from dkist_build_utils.release import MANIFEST_NAME, Manifest, read_file

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

_LOGGER = logging.getLogger(__name__)
_WAIT_SECONDS = 600
"""How long one deploy waits for another: a deploy holds the lock for seconds."""


def dags_folder_at(dags_folder: str | os.PathLike[str]) -> Path:
    """Return the folder from which Airflow reads DAG files; BuildError if it is not there."""
    dags = Path(dags_folder).resolve()
    if not dags.is_dir():
        raise BuildError(f"there is no dags folder {dags}; create it, or name the one that Airflow reads")
    return dags


def manifest_of(folder: Path) -> Manifest:
    """Return the manifest of a deployed version; FileNotFoundError if it is gone, BuildError if it cannot be read."""
    try:
        return Manifest.from_json(read_file(folder / MANIFEST_NAME))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BuildError(f"{folder / MANIFEST_NAME} cannot be read: {error.strerror}") from error


@contextmanager
def exclusive(dags: Path) -> Iterator[Path]:
    """Keep other deploys out and yield an empty folder on the file system of the dags folder.

    It lies beside the dags folder, because Airflow reads hidden folders inside it. It stays, because it holds the lock.
    What a killed deploy left in it is removed, or named if that is not possible.
    """
    if dags.parent.stat().st_dev != dags.stat().st_dev:
        raise BuildError(
            f"{dags} is on another file system than its parent folder, so a version could not appear in it in one "
            "step; let Airflow read a folder inside that file system"
        )
    staging = dags.with_name(f".{dags.name}.dkist-deploy")
    try:
        staging.mkdir(exist_ok=True)
        lock = (staging / "lock").open("a")
    except OSError as error:
        raise BuildError(f"{staging}, where versions are unpacked, cannot be created: {error.strerror}") from error
    with lock:
        _lock(lock.fileno(), dags)
        for leftover in staging.iterdir():
            if leftover.name != "lock":
                remove_or_name(leftover)
        yield staging


def _lock(handle: int, dags: Path) -> None:
    """Take a lock that ends with this process; BuildError if another deploy keeps it."""
    deadline = time.monotonic() + _WAIT_SECONDS
    is_said = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise BuildError(f"another deploy to {dags} has not ended within {_WAIT_SECONDS} s") from None
            if not is_said:
                _LOGGER.info("waiting for another deploy to %s", dags)
                is_said = True
            time.sleep(0.1)
        else:
            return
