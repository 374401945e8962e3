"""Fetching the wheels that the locks of a release name."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dkist_airflow_node.commands import size_text
from dkist_build_utils.errors import BuildError, counted
from dkist_build_utils.programs import download_wheels
from dkist_build_utils.release.folder import staged_folder
from dkist_build_utils.release.wheel_folder import file_digest, is_wheel_name, missing_from, wheel_paths, wheels_of_lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from dkist_build_utils.release.identity import ReleaseIdentity

_LOGGER = logging.getLogger(__name__)


@contextmanager
def gathered_wheels(
    release: ReleaseIdentity, locks: Iterable[bytes], find_links: Sequence[Path], target: Path
) -> Iterator[Mapping[str, Path]]:
    """Yield every wheel that some locks name, each once, by file name; those that were fetched are removed after.

    What is in the release folder already is kept. pip fetches the rest, and the digest of each file is compared with
    the lock once more.

    Parameters
    ----------
    release : ReleaseIdentity
        Which release, for which workers.
    locks : iterable of bytes
        The locks.
    find_links : sequence of Path
        Folders with wheels that are not published yet.
    target : Path
        The release folder; it may not be there yet.

    Raises
    ------
    BuildError
        A wheel cannot be fetched, or is not what its lock names.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = wheel_paths(target) or {}
    kept_digests = {name: file_digest(path) for name, path in kept.items()}
    wheels: dict[str, Path] = {}
    with staged_folder(target.parent, f"{target.name}.wheels", {}) as folder:
        for lock in locks:
            named = wheels_of_lock(lock, kept_digests)
            paths = kept
            if missing_from(named, lock):
                paths = _fetched(release, lock, find_links, folder)
                named = wheels_of_lock(lock, {name: file_digest(path) for name, path in paths.items()})
                missing = missing_from(named, lock)
                if missing:
                    raise BuildError(f"no wheel for {release.workers} was found of {', '.join(missing)}")
            wheels.update((name, paths[name]) for name in named)
        if wheels:
            size = sum(path.stat().st_size for path in wheels.values())
            _LOGGER.info("%s of %s", counted(len(wheels), "wheel"), size_text(size))
        yield dict(sorted(wheels.items()))


def _fetched(release: ReleaseIdentity, lock: bytes, find_links: Sequence[Path], folder: Path) -> dict[str, Path]:
    _LOGGER.info("fetching wheels for %s", release.workers)
    download_wheels(lock, release.python, release.python_platform, find_links, folder)
    return {path.name: path for path in folder.iterdir() if is_wheel_name(path.name)}
