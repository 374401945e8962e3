"""Versions in the dags folder: each is a release folder that appears and disappears as a whole."""

from __future__ import annotations

import logging
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dkist_build_utils.deployment.dags_folder import dags_folder_at, exclusive, manifest_of
from dkist_build_utils.deployment.leftover import owner, remove_or_name
from dkist_build_utils.deployment.site import check_inactive, create_missing_pools
from dkist_build_utils.deployment.supply import check_supply
from dkist_build_utils.deployment.wheelhouse import Wheelhouse
from dkist_build_utils.errors import BuildError, NewerManifestError
from dkist_build_utils.programs import is_airflow_installed
from dkist_build_utils.release import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    Release,
    archived_wheels,
    file_digest,
    flush,
    flush_folder,
    is_plain_name,
    release_from_folder,
    required_signers,
    signed_release,
    staged_folder,
    this_platform,
)

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deployed:
    """What `deploy` did."""

    path: Path
    """The folder of the version in the dags folder."""
    is_new: bool
    """False if unchanged: the same bytes were deployed already."""
    pools_created: tuple[str, ...]
    """The pools that were missing in Airflow and were created."""
    pools_needed: tuple[str, ...]
    """The pools that the version needs, if Airflow was not asked whether it has them."""
    airflow: str | None = None
    """Which Airflow was asked: its home and its database; None if none was."""


@dataclass(frozen=True)
class DeployedVersion:
    """A version in the dags folder."""

    name: str
    """The name of its folder, ``<distribution>_<version>``."""
    dag_ids: tuple[str, ...]
    """The DAGs in it; none if its manifest cannot be read."""
    deployed_at: float
    """When it was deployed, in seconds since the epoch."""
    size_bytes: int
    """The size of its files."""
    damage: str | None
    """How it differs from its manifest; None if it does not."""
    needs_network: bool = True
    """Whether workers need an index to build its environments: the wheelhouse lacks a wheel."""
    is_newer: bool = False
    """Whether a newer version of this distribution made it, so that this one cannot read its manifest."""
    pools: tuple[str, ...] = ()
    """The pools in which its tasks run; none if its manifest cannot be read."""


def deploy(
    archive: str | os.PathLike[str],
    dags_folder: str | os.PathLike[str],
    *,
    airflow: bool | None = None,
    require_signature: str | os.PathLike[str] | None = None,
    revoked_keys: str | os.PathLike[str] | None = None,
    wheelhouse: str | os.PathLike[str] | None = None,
) -> Deployed:
    """Bring a version into the dags folder: all of it, or nothing.

    First the archive is checked against its manifest, and its locks against the index that uv is set up for on this
    machine, and missing pools are created. Then its wheels, if it has them, come into the wheelhouse, and the version
    appears in one step.

    Parameters
    ----------
    archive : path
        An archive that `dkist_build_utils.archive` made.
    dags_folder : path
        The folder from which Airflow reads DAG files.
    airflow : bool, optional
        Whether to ask the Airflow that this environment names (``AIRFLOW_HOME``, ``AIRFLOW__...``) whether it reads
        this dags folder, and to create missing pools in it. By default: if Airflow is installed.
    require_signature : path, optional
        A file of allowed signers, one of whom must have signed the release. The site's (``DKIST_REQUIRED_SIGNERS``) is
        applied as well.
    revoked_keys : path, optional
        A file of revoked keys; by default the site's (``DKIST_REVOKED_KEYS``).
    wheelhouse : path, optional
        Where workers find wheels: a folder for this dags folder alone. By default the one that ``DKIST_WHEELHOUSE``
        names, then ``.<name of the dags folder>.dkist-wheels`` beside it.

    Returns
    -------
    Deployed
        What was done.

    Raises
    ------
    SignatureError
        A signature is required, and there is none or it does not count; or there is one that does not fit the release.
    BuildError
        The archive is damaged; the index cannot give what a lock names; the version, or one of its DAG ids, is there
        already with other bytes; the dags folder is a file system of its own; or the version needs pools, and the
        Airflow that was asked does not answer or does not read this dags folder. The dags folder is as it was.
    """
    _LOGGER.info("checking %s", archive)
    signers = required_signers(require_signature, revoked_keys)
    release = signed_release(Path(archive), signers)
    _warn_of_another_platform(release)
    dags = dags_folder_at(dags_folder)
    shared = Wheelhouse(dags, wheelhouse)
    target = dags / release.manifest.release.folder_name
    asks_airflow = is_airflow_installed() if airflow is None else airflow
    is_there = _is_there(target, release)
    if not is_there:
        _check_dag_ids(dags, release)
        check_supply(release)
    pools = release.pools
    site, created = create_missing_pools(dags, pools) if asks_airflow else (None, ())
    with exclusive(dags) as staging:
        if release.manifest.wheels:
            shared.add(release, archived_wheels(Path(archive)))
        # Look again: another deploy may have been at work.
        if not _is_there(target, release):
            _check_dag_ids(dags, release)
            with staged_folder(staging, target.name, release.files) as staged:
                _make_readable(staged)
                flush_folder(staged)
                staged.rename(target)
            flush(dags)
        else:
            is_there = True
            if signers and release.signature is not None:
                _replace_signature(staging, target, release.signature)
        _remove_unneeded_wheels(dags, shared)
    return Deployed(
        target, not is_there, created, () if asks_airflow else tuple(pools), None if site is None else str(site)
    )


def undeploy(
    name: str,
    dags_folder: str | os.PathLike[str],
    *,
    force: bool = False,
    airflow: bool | None = None,
    wheelhouse: str | os.PathLike[str] | None = None,
) -> Path:
    """Remove a version from the dags folder, in one step, and then the wheels that no deployed version needs.

    Parameters
    ----------
    name : str
        The name of its folder, ``<distribution>_<version>``.
    dags_folder : path
        The folder from which Airflow reads DAG files.
    force : bool, optional
        Do not ask Airflow whether runs are active.
    airflow : bool, optional
        Whether there is an Airflow on this machine to ask. By default: if it is installed.
    wheelhouse : path, optional
        Where workers find wheels, as for `deploy`.

    Returns
    -------
    Path
        The folder that was removed.

    Raises
    ------
    BuildError
        There is no such version; it may not be moved by this user; or, without ``force``, one of its runs is active or
        there is no Airflow to ask. The version is as it was.
    """
    dags = dags_folder_at(dags_folder)
    shared = Wheelhouse(dags, wheelhouse)
    target = dags / name
    if not is_plain_name(name) or not os.path.lexists(target / MANIFEST_NAME) or target.is_symlink():
        raise BuildError(f"{name!r} is not a version deployed in {dags}; 'dkist-build list' shows those that are")
    if not force:
        _check_inactive(dags, target, asks_airflow=is_airflow_installed() if airflow is None else airflow)
    with exclusive(dags) as staging:
        removed = staging / f"{name}.{secrets.token_hex(8)}"
        try:
            target.rename(removed)
        except OSError as error:
            raise BuildError(
                f"{target} cannot be removed: {error.strerror}; undeploy it as its owner, {owner(target)}"
            ) from error
        flush(dags)
        remove_or_name(removed)
        _remove_unneeded_wheels(dags, shared)
    return target


def deployed_versions(
    dags_folder: str | os.PathLike[str], *, wheelhouse: str | os.PathLike[str] | None = None
) -> tuple[DeployedVersion, ...]:
    """Return the versions in a dags folder, sorted by name; folders that are not release folders are skipped.

    Parameters
    ----------
    dags_folder : path
        The folder from which Airflow reads DAG files.
    wheelhouse : path, optional
        Where workers find wheels, as for `deploy`.
    """
    dags = dags_folder_at(dags_folder)
    shared = Wheelhouse(dags, wheelhouse)
    versions = []
    for manifest in sorted(dags.glob(f"*/{MANIFEST_NAME}")):
        with suppress(FileNotFoundError):  # it is undeployed at this moment
            versions.append(_deployed_version(manifest.parent, shared))
    return tuple(versions)


def _remove_unneeded_wheels(dags: Path, shared: Wheelhouse) -> None:
    """Remove the wheels that no deployed version needs; if that cannot be known, keep all of them and say why.

    The text files of the versions, among them all locks, are read rather than the manifests: a version that is damaged,
    or that a newer version of this distribution deployed, keeps its wheels.
    """
    if not shared.folder.is_dir():
        return
    try:
        digests = {file_digest(path) for path in dags.glob("*/*.txt") if path.is_file()}
    except OSError as error:
        _LOGGER.warning(
            "no wheel is removed from %s: '%s', which may be a lock that needs one, cannot be read (%s); let this user "
            "read it",
            shared.folder,
            error.filename,
            error.strerror,
        )
    else:
        shared.keep_only(digests)


def _deployed_version(folder: Path, shared: Wheelhouse) -> DeployedVersion:
    dag_ids: tuple[str, ...] = ()
    pools: set[str] = set()
    damage, is_newer, needs_network = None, False, True
    try:
        manifest = manifest_of(folder)
        dag_ids = manifest.dag_ids
        pools = {task.pool for workflow in manifest.workflows for task in workflow.tasks if task.pool}
        release_from_folder(folder)
        needs_network = not (manifest.locks and all(shared.has(manifest.files[lock]) for lock in manifest.locks))
    except BuildError as error:
        damage, is_newer = str(error), isinstance(error, NewerManifestError)
    return DeployedVersion(
        name=folder.name,
        dag_ids=dag_ids,
        deployed_at=(folder / MANIFEST_NAME).stat().st_mtime,  # Airflow's __pycache__ changes that of the folder
        size_bytes=_size(folder),
        damage=damage,
        needs_network=needs_network,
        is_newer=is_newer,
        pools=tuple(sorted(pools)),
    )


def _size(folder: Path) -> int:
    """Return the size of the files in a folder, as far as this user may see them."""
    try:
        return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    except PermissionError:
        return 0


def _is_there(target: Path, release: Release) -> bool:
    """Return whether the same bytes are deployed; BuildError if others are."""
    if not os.path.lexists(target):
        return False
    try:
        if release_from_folder(target).signed_files == release.signed_files:
            return True
    except BuildError as error:
        raise BuildError(f"{target} is there and damaged ({error}); undeploy it first") from error
    raise BuildError(
        f"{target} is there with other bytes; a deployed version is never changed: release a new version, or undeploy "
        "that one first"
    )


def _check_dag_ids(dags: Path, release: Release) -> None:
    """Refuse a DAG id that another version in the folder has: Airflow would take one or the other by chance."""
    for version in deployed_versions(dags):
        if version.is_newer:
            raise BuildError(
                f"{version.name} was deployed by a newer version of dkist-build-utils, so its DAG ids cannot be "
                "compared; install the newer version"
            )
        shared = set(version.dag_ids).intersection(release.manifest.dag_ids)
        if shared:
            raise BuildError(f"DAG id {min(shared)!r} is deployed already, in {version.name}; rename the workflow")


def _warn_of_another_platform(release: Release) -> None:
    """Warn of locks that were made on another platform and do not name that of the workers."""
    made_on = release.manifest.provenance.locked_on
    if made_on is not None and made_on != this_platform():
        _LOGGER.warning(
            "%s was locked on %s without --python-platform, and this machine is %s; such workers may lack wheels",
            release.manifest.release.folder_name,
            made_on,
            this_platform(),
        )


def _make_readable(folder: Path) -> None:
    """Let everybody read a folder and its files, whatever the umask is: Airflow may run as another user."""
    for path in (*folder.iterdir(), folder):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def _replace_signature(staging: Path, target: Path, signature: bytes) -> None:
    """Put a newer signature of the same files in the place of the one that is deployed."""
    deployed = target / SIGNATURE_NAME
    if deployed.is_file() and deployed.read_bytes() == signature:
        return
    with staged_folder(staging, target.name, {SIGNATURE_NAME: signature}) as staged:
        _make_readable(staged)
        flush_folder(staged)
        (staged / SIGNATURE_NAME).rename(deployed)
    flush(target)


def _check_inactive(dags: Path, target: Path, *, asks_airflow: bool) -> None:
    if not asks_airflow:
        raise BuildError(
            f"{target.name}: no Airflow is asked whether its runs have ended (none is installed, or --no-airflow); "
            "use --force if they have"
        )
    try:
        dag_ids = manifest_of(target).dag_ids
    except BuildError as error:
        raise BuildError(
            f"{target.name}: {error}, so nobody knows its DAGs; use --force if their runs have ended"
        ) from error
    check_inactive(dags, target.name, dag_ids)
