"""The files of a new instrument package: those of the folder ``template``, with the name of the new one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils.errors import BuildError

if TYPE_CHECKING:
    from dkist_build_utils.instrument_package.name import PackageName

TEMPLATE = Path(__file__).parent / "template"
FIND_LINKS = "FIND_LINKS_FOLDER"
"""What stands in the template for the folder of wheels; a line with it is left out where there is no such folder."""

_CACHES = ("__pycache__", "_cache")
"""Ends of the names of folders that an installer or a linter leaves among the files."""

_PLAIN_PATH = re.compile(r"[\w./+@~-]+")
"""Paths that mean themselves in a shell, in YAML and in uv's list with commas."""


def files_of(name: PackageName, find_links: Path | None = None) -> dict[str, str]:
    """Return the text of every file of a new package by its path in the package's folder.

    Parameters
    ----------
    name : PackageName
        The name of the package.
    find_links : Path, optional
        A folder with wheels that are on no index yet, for the README and the CI file.

    Raises
    ------
    BuildError
        The path of the folder would have to be quoted.
    """
    folder = None if find_links is None else str(find_links.resolve())
    if folder is not None and not _PLAIN_PATH.fullmatch(folder):
        raise BuildError(
            f"the folder of wheels {folder!r} has a space or another character with a meaning for a shell or uv; use a "
            "folder whose path has only letters, digits and ._+@~-"
        )
    return {
        _named(path.relative_to(TEMPLATE).as_posix(), name): _named(_linked(path.read_text("utf-8"), folder), name)
        for path in sorted(TEMPLATE.rglob("*"))
        if path.is_file() and not any(part.endswith(_CACHES) for part in path.relative_to(TEMPLATE).parts)
    }


def _named(text: str, name: PackageName) -> str:
    """Return a text of the template with the name of the new package, in its three spellings."""
    return (
        text.replace("template-instrument", name.distribution)
        .replace("template_instrument", name.import_name)
        .replace("TEMPLATE_INSTRUMENT", name.variable)
    )


def _linked(text: str, folder: str | None) -> str:
    """Return a text of the template with the folder of wheels, or without the lines that name it."""
    if folder is not None:
        return text.replace(FIND_LINKS, folder)
    return "".join(line for line in text.splitlines(keepends=True) if FIND_LINKS not in line)
