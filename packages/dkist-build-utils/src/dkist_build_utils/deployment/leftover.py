"""What cannot be removed, because it belongs to somebody else, is named and blocks nothing."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LOGGER = logging.getLogger(__name__)


def owner(path: Path) -> str:
    """Return the name of the user who owns a file, or the number if the user has no name here."""
    number = path.lstat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def remove_or_name(leftover: Path) -> None:
    """Remove a folder or a file; what cannot be removed stays, and a warning says what it is and who can remove it.

    Airflow, for example, leaves ``__pycache__`` in a version, as a user of its own.
    """
    failed: list[Path] = []

    def keep(_: object, path: str, __: object) -> None:
        failed.append(leftover.parent / os.fspath(path))

    if leftover.is_dir() and not leftover.is_symlink():
        shutil.rmtree(leftover, onerror=keep)
    else:
        try:
            leftover.unlink(missing_ok=True)
        except OSError:
            failed.append(leftover)
    if failed:
        owners = sorted({owner(path.parent) for path in failed if path.exists()} | {owner(leftover)})
        _LOGGER.warning(
            "'%s' is no longer used and cannot be removed by this user; remove it as %s",
            leftover,
            " or ".join(owners),
        )
