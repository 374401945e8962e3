"""Versions in the dags folder: each a release folder that came in whole and leaves whole."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils.deployment.supply import check_supply
from dkist_build_utils.errors import BuildError
from dkist_build_utils.names import PLAIN_NAME
from dkist_build_utils.programs import active_runs, create_missing_pools, is_airflow_installed
from dkist_build_utils.release import (
    MANIFEST_NAME,
    Release,
    flush,
    flush_folder,
    manifest_from_json,
    pools_of,
    release_from_archive,
    release_from_folder,
    staged_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGGER = logging.getLogger(__name__)
_WAIT_SECONDS = 600
"""How long one deploy waits for another: a deploy holds the lock for seconds."""


@dataclass(frozen=True)
class Deployed:
    """What `deploy` did."""

    path: Path
    """The folder of the version in the dags folder."""
    is_new: bool
    """False where the same bytes were there already."""
    pools_created: tuple[str, ...]
    """The pools that Airflow did not have."""
    pools_needed: tuple[str, ...]
    """The pools that the version needs and nobody has looked for, because Airflow was not asked."""


@dataclass(frozen=True)
class DeployedVersion:
    """A version in the dags folder."""

    name: str
    """The name of its folder, ``<distribution>_<version>``."""
    dag_ids: tuple[str, ...]
    """The DAGs it holds; none where its manifest cannot be read."""
    deployed_at: float
    """When it was deployed, in seconds since the epoch."""
    size_bytes: int
    """The size of its files."""
    damage: str | None
    """How it differs from its manifest; None if it does not."""


def deploy(
    archive: str | os.PathLike[str], dags_folder: str | os.PathLike[str], *, airflow: bool | None = None
) -> Deployed:
    """
    Bring a version into the dags folder: the whole of it, or nothing.

    The archive is checked against its manifest, its locks against the index that uv is set up for on this machine, and
    missing pools are created, before the version appears in one step.

    Parameters
    ----------
    archive
        What `dkist_build_utils.archive` made.
    dags_folder
        The folder from which Airflow reads DAG files.
    airflow
        Whether to create missing pools in the Airflow on this machine; if not given: where Airflow is installed.

    Raises
    ------
    BuildError
        The archive is not sound; a lock cannot be satisfied; the version, or a DAG id of it, is there already with
        other bytes; the dags folder is on a file system of its own; or Airflow does not answer. Nothing has appeared.
    """
    _LOGGER.info("checking %s", archive)
    release = release_from_archive(Path(archive))
    dags = _resolved(dags_folder)
    target = dags / release.manifest.folder_name
    asks_airflow = is_airflow_installed() if airflow is None else airflow
    is_there = _is_there(target, release)
    if not is_there:
        _check_dag_ids(dags, release)
        check_supply(release)
    pools = pools_of(release)
    created = create_missing_pools(pools) if pools and asks_airflow else ()
    with _exclusive(dags) as staging:
        # Asked again: another deploy may have been at work.
        if not _is_there(target, release):
            _check_dag_ids(dags, release)
            with staged_folder(staging, target.name, release.files) as staged:
                flush_folder(staged)
                staged.rename(target)
            flush(dags)
        else:
            is_there = True
    return Deployed(target, not is_there, created, () if asks_airflow else tuple(pools))


def undeploy(
    name: str, dags_folder: str | os.PathLike[str], *, force: bool = False, airflow: bool | None = None
) -> Path:
    """
    Remove a version from the dags folder, in one step.

    Parameters
    ----------
    name
        The name of its folder, ``<distribution>_<version>``.
    dags_folder
        The folder from which Airflow reads DAG files.
    force
        Do not ask Airflow whether runs are active.
    airflow
        Whether there is an Airflow on this machine to ask; if not given: where it is installed.

    Returns
    -------
    Path
        The folder that was removed.

    Raises
    ------
    BuildError
        There is no such version; or one of its runs is active, or nobody can tell, and ``force`` was not given.
    """
    dags = _resolved(dags_folder)
    target = dags / name
    if not PLAIN_NAME.fullmatch(name) or not (target / MANIFEST_NAME).is_file() or target.is_symlink():
        raise BuildError(f"{name!r} is no version deployed in {dags}; 'dkist-build list' shows those that are")
    if not force:
        _check_inactive(target, asks_airflow=is_airflow_installed() if airflow is None else airflow)
    with _exclusive(dags) as staging:
        target.rename(staging / name)
        flush(dags)
        shutil.rmtree(staging / name)
    return target


def deployed_versions(dags_folder: str | os.PathLike[str]) -> tuple[DeployedVersion, ...]:
    """Return the versions in a dags folder, sorted by name; what is not a release folder is passed over."""
    versions = []
    for manifest in sorted(_resolved(dags_folder).glob(f"*/{MANIFEST_NAME}")):
        with suppress(FileNotFoundError):  # it is undeployed at this moment
            versions.append(_deployed_version(manifest.parent))
    return tuple(versions)


def _deployed_version(folder: Path) -> DeployedVersion:
    dag_ids: tuple[str, ...] = ()
    damage = None
    try:
        dag_ids = manifest_from_json((folder / MANIFEST_NAME).read_bytes()).dag_ids
        release_from_folder(folder)
    except BuildError as error:
        damage = str(error)
    files = [path for path in folder.iterdir() if path.is_file()]
    return DeployedVersion(
        name=folder.name,
        dag_ids=dag_ids,
        deployed_at=(folder / MANIFEST_NAME).stat().st_mtime,  # Airflow's __pycache__ changes that of the folder
        size_bytes=sum(path.stat().st_size for path in files),
        damage=damage,
    )


def _resolved(dags_folder: str | os.PathLike[str]) -> Path:
    dags = Path(dags_folder).resolve()
    if not dags.is_dir():
        raise BuildError(f"the dags folder {dags} is not there; make it, or name the one that Airflow reads")
    return dags


def _is_there(target: Path, release: Release) -> bool:
    """Tell whether the same bytes are deployed; BuildError where others are."""
    if not os.path.lexists(target):
        return False
    try:
        if release_from_folder(target).files == release.files:
            return True
    except BuildError as error:
        raise BuildError(f"{target} is there and damaged ({error}); undeploy it first") from error
    raise BuildError(
        f"{target} is there with other bytes; a version that is deployed is never changed: release a new version, or "
        "undeploy that one first"
    )


def _check_dag_ids(dags: Path, release: Release) -> None:
    """Refuse a DAG id that another version in the folder has: Airflow would take one or the other by chance."""
    for version in deployed_versions(dags):
        shared = set(version.dag_ids).intersection(release.manifest.dag_ids)
        if shared:
            raise BuildError(f"DAG id {min(shared)!r} is deployed already, in {version.name}; rename the workflow")


def _check_inactive(target: Path, *, asks_airflow: bool) -> None:
    if not asks_airflow:
        raise BuildError(
            f"{target.name}: without Airflow on this machine nobody can tell whether its runs have ended; "
            "use --force if they have"
        )
    dag_ids = manifest_from_json((target / MANIFEST_NAME).read_bytes()).dag_ids
    runs = active_runs(dag_ids)
    if runs:
        named = ", ".join(f"{dag_id} {run_id} ({state})" for dag_id, run_id, state in runs[:3])
        more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
        raise BuildError(f"{target.name} has active runs: {named}{more}; wait for them, or use --force")


@contextmanager
def _exclusive(dags: Path) -> Iterator[Path]:
    """
    Keep other deploys out, and give an empty folder on the file system of the dags folder.

    It lies beside the dags folder, because Airflow reads hidden folders inside as well, and stays: it holds the lock.
    What a killed deploy left in it is removed.
    """
    if dags.parent.stat().st_dev != dags.stat().st_dev:
        raise BuildError(
            f"{dags} is on another file system than the folder that holds it, so no version could appear in it in one "
            "step; let Airflow read a folder inside that file system"
        )
    staging = dags.with_name(f".{dags.name}.dkist-deploy")
    try:
        staging.mkdir(exist_ok=True)
        lock = (staging / "lock").open("a")
    except OSError as error:
        raise BuildError(f"{staging}, where versions are unpacked, cannot be made: {error.strerror}") from error
    with lock:
        _lock(lock.fileno(), dags)
        for leftover in staging.iterdir():
            if leftover.name != "lock":
                shutil.rmtree(leftover)
        yield staging


def _lock(handle: int, dags: Path) -> None:
    """Take a lock that ends with this process; BuildError where another deploy keeps it."""
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
