"""Where the wheels of this project are while they are on no index."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from dkist_build_utils.errors import BuildError
from dkist_build_utils.programs import named_find_links

if TYPE_CHECKING:
    from pathlib import Path


def folder_of_wheels(given: Path | None) -> Path | None:
    """Return the folder that holds the wheel of dkist-task, which every new package requires.

    Parameters
    ----------
    given : Path or None
        The folder that the caller named; None to take the first of ``UV_FIND_LINKS`` that holds the wheel, if any.

    Raises
    ------
    BuildError
        The folder that the caller named does not hold it.
    """
    if given is not None:
        if not _holds_wheel(given):
            raise BuildError(
                f"{given} holds no wheel of dkist-task; build it with 'uv build --wheel --out-dir {given} "
                "packages/dkist-task' in the clone, or leave --find-links out to use the index"
            )
        return given
    return next(filter(_holds_wheel, named_find_links()), None)


def is_installed_from_index() -> bool:
    """Return whether the dkist-task of this environment came by its name, not from a folder or a file (PEP 610)."""
    try:
        return distribution("dkist-task").read_text("direct_url.json") is None
    except PackageNotFoundError:
        return True


def _holds_wheel(folder: Path) -> bool:
    return any(folder.glob("dkist_task-*.whl"))
