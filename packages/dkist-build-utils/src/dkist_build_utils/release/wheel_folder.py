"""The wheels of a release: every file that its locks name, in a folder of its own."""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from dkist_build_utils.errors import BuildError
from dkist_build_utils.release.identity import is_plain_name
from dkist_build_utils.release.lock import locked_pins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dkist_build_utils.release.lock import Pin

WHEELS_FOLDER = "wheels"
"""The folder of the wheels in a release folder."""


def is_wheel_name(name: str) -> bool:
    """Return whether a name is that of a wheel, and means the same to every file system, shell and person."""
    return is_plain_name(name) and _parsed(name) is not None


def wheel_paths(folder: Path) -> dict[str, Path] | None:
    """Return the wheels of a release folder by name; None if it has no folder of wheels.

    Raises
    ------
    BuildError
        The folder holds something that is not a wheel, or cannot be read.
    """
    wheels = folder / WHEELS_FOLDER
    if not wheels.is_dir() or wheels.is_symlink():
        return None
    paths = {}
    try:
        for path in sorted(wheels.iterdir()):
            if not is_wheel_name(path.name) or not stat.S_ISREG(path.lstat().st_mode):
                raise BuildError(f"{wheels}: {path.name!r} is not a wheel; the folder holds no other files")
            paths[path.name] = path
    except OSError as error:
        raise BuildError(f"{wheels} cannot be read: {error.strerror}") from error
    return paths


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file of any size, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def wheels_of_lock(lock: bytes, wheels: Mapping[str, str]) -> dict[str, str]:
    """Return those wheels that a lock names, with their digests.

    Parameters
    ----------
    lock : bytes
        The bytes of the lock.
    wheels : mapping of str to str
        The SHA-256 of each wheel by its file name.
    """
    pins = locked_pins(lock)
    return {name: sha256 for name, sha256 in wheels.items() if _pin_of(name, sha256, pins) is not None}


def missing_from(wheels: Mapping[str, str], lock: bytes) -> list[str]:
    """Return what a lock pins and no wheel is there for, each as ``name==version``."""
    pins = locked_pins(lock)
    found = {_pin_of(name, sha256, pins) for name, sha256 in wheels.items()}
    return sorted(f"{name}=={pin.version}" for name, pin in pins.items() if name not in found)


def _pin_of(name: str, sha256: str, pins: Mapping[str, Pin]) -> str | None:
    """Return the distribution whose pin a wheel is, by name, version and digest."""
    parsed = _parsed(name)
    if parsed is None:
        return None
    distribution, version = parsed
    pin = pins.get(distribution)
    try:
        is_pinned = pin is not None and sha256 in pin.sha256 and Version(pin.version) == version
    except InvalidVersion:
        return None
    return distribution if is_pinned else None


def _parsed(name: str) -> tuple[str, Version] | None:
    try:
        distribution, version, _, _ = parse_wheel_filename(name)
    except InvalidWheelFilename:
        return None
    return distribution, version
