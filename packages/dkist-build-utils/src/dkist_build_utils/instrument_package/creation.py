"""Write a new instrument package: all of it, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dkist_build_utils.errors import BuildError
from dkist_build_utils.instrument_package.template import files_of
from dkist_build_utils.release import staged_folder

if TYPE_CHECKING:
    from pathlib import Path

    from dkist_build_utils.instrument_package.name import PackageName


def create_package(name: PackageName, parent: Path, find_links: Path | None = None) -> Path:
    """Write a new package to ``parent/<name>`` and return that folder.

    The files are written to a hidden folder beside it, which then gets the name in one step.

    Parameters
    ----------
    name : PackageName
        The name of the package.
    parent : Path
        The folder in which the package's folder is made.
    find_links : Path, optional
        A folder with wheels that are on no index yet, for the README and the CI file.

    Raises
    ------
    BuildError
        Something of that name is there, other than an empty folder, and stays as it is; or ``parent`` is not a folder.
    """
    files = files_of(name, find_links)
    if not parent.is_dir():
        raise BuildError(f"there is no folder {parent}; make it first, or name another one")
    target = parent / name.distribution
    _check_free(target)
    with staged_folder(parent, name.distribution, {}) as hidden:
        for path, text in files.items():
            file = hidden / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        try:
            hidden.rename(target)  # over an empty folder, but over nothing else
        except OSError:
            _check_free(target)  # another process was quicker
            raise
    return target


def _check_free(target: Path) -> None:
    """Raise BuildError unless a new folder can get this name."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise BuildError(f"{target} is not a folder; remove it, or choose another name")
    if target.is_dir() and any(target.iterdir()):
        raise BuildError(f"the folder {target} is there and not empty; remove it, or choose another name")
