"""What the deployed versions hold, read from their locks alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from dkist_build_utils.deployment.dags_folder import dags_folder_at, manifest_of
from dkist_build_utils.errors import BuildError
from dkist_build_utils.release import MANIFEST_NAME, Pin, is_plain_name, locked_pins, read_file
from dkist_workflow import normalized_name

if TYPE_CHECKING:
    import os
    from pathlib import Path


@dataclass(frozen=True)
class UnknownVersion:
    """A deployed version whose content is unknown."""

    name: str
    """The name of its folder."""
    reason: str
    """Why."""


@dataclass(frozen=True)
class DeployedLocks:
    """What each deployed version locks."""

    pins: dict[str, dict[str, dict[str, Pin]]]
    """By version and lock, what the lock pins by the name of the distribution."""
    unknown: tuple[UnknownVersion, ...]
    """The versions without locks, or with a manifest or lock that cannot be read."""


@dataclass(frozen=True, order=True)
class Holding:
    """A deployed version that holds what was asked for."""

    name: str
    """The name of its folder, ``<distribution>_<version>``."""
    lock: str
    """The file name of the lock."""
    distribution: str
    """The distribution that was asked for."""
    version: str
    """The version of it that the lock pins."""


@dataclass(frozen=True)
class Holdings:
    """The answer to the question which versions hold something."""

    found: tuple[Holding, ...]
    """Those that do, sorted."""
    unknown: tuple[UnknownVersion, ...]
    """Those whose content is unknown."""


def holdings(dags_folder: str | os.PathLike[str], requirement: str) -> Holdings:
    """Return which deployed versions hold a distribution.

    The locks are read and not compared with the manifest: `dkist_build_utils.deployed_versions` does that.

    Parameters
    ----------
    dags_folder : path
        The folder from which Airflow reads DAG files.
    requirement : str
        A distribution, with or without versions: ``numpy``, ``numpy<2``.

    Raises
    ------
    BuildError
        The requirement is not one, or the dags folder is not there.
    """
    try:
        asked = Requirement(requirement)
    except InvalidRequirement as error:
        raise BuildError(
            f"{requirement!r} is not a requirement such as 'numpy<2': {str(error).partition(chr(10))[0]:.200}"
        ) from None
    if asked.extras or asked.url or asked.marker:
        raise BuildError(f"{requirement!r} asks for more than a distribution and its versions; write it as 'numpy<2'")
    name = normalized_name(asked.name)
    deployed = deployed_locks(dags_folder, only=name)
    found = [
        Holding(version, lock, name, pins[name].version)
        for version, locks in deployed.pins.items()
        for lock, pins in locks.items()
        if name in pins and asked.specifier.contains(pins[name].version, prereleases=True)
    ]
    return Holdings(tuple(sorted(found)), deployed.unknown)


def deployed_locks(dags_folder: str | os.PathLike[str], *, only: str | None = None) -> DeployedLocks:
    """Return what the deployed versions lock.

    Parameters
    ----------
    dags_folder : path
        The folder from which Airflow reads DAG files.
    only : str, optional
        The one distribution, normalised, that is asked for; the other lines of a lock are not read.
    """
    pins: dict[str, dict[str, dict[str, Pin]]] = {}
    unknown = []
    for path in sorted(dags_folder_at(dags_folder).glob(f"*/{MANIFEST_NAME}")):
        folder = path.parent
        try:
            locks = manifest_of(folder).locks
            if not locks:
                raise BuildError("it was released without locks")
            if not all(map(is_plain_name, locks)):
                raise BuildError(f"{MANIFEST_NAME} names a lock that is not a plain name")
            pins[folder.name] = {lock: _pins(folder / lock, only) for lock in locks}
        except FileNotFoundError:
            if folder.exists():  # otherwise it is undeployed at this moment
                unknown.append(UnknownVersion(folder.name, "a lock is missing"))
        except BuildError as error:
            unknown.append(UnknownVersion(folder.name, str(error).partition("\n")[0]))
    return DeployedLocks(pins, tuple(unknown))


def _pins(lock: Path, only: str | None) -> dict[str, Pin]:
    """Return the pins of a lock whose versions can be compared."""
    try:
        pins = locked_pins(read_file(lock), only=only)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BuildError(f"{lock.name} cannot be read: {error.strerror}") from error
    for name, pin in pins.items():
        try:
            Version(pin.version)
        except InvalidVersion:
            raise BuildError(f"{lock.name}: {name} has no version: {pin.version!r:.80}") from None
    return pins
