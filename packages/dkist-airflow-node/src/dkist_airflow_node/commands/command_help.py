"""The end of a command's help: exit statuses, settings, and where to read on."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STATUSES = "Exit status: 0 done, 1 faults found or refused, 2 wrong usage."
_WIDTH = 78
"""Columns of a line: a terminal has 80, and click indents by two."""


def epilogue(*pages: str, settings: Mapping[str, str] | str | None = None) -> str:
    """Return the text that ends the help of a command.

    Parameters
    ----------
    *pages : str
        Where to read on: paths in the repository.
    settings : Mapping[str, str] or str, optional
        What each environment variable sets, by its name; or where that is said.

    Returns
    -------
    str
        The epilogue, whose lines click leaves as they are.

    Examples
    --------
    >>> text = epilogue("docs/how-to/celery.md", settings={"BUILD_VERSION": "the version"})
    >>> print(*text.splitlines()[1:], sep=chr(10))
    Settings (environment variables):
      BUILD_VERSION  the version
    Exit status: 0 done, 1 faults found or refused, 2 wrong usage.
    Read on: docs/how-to/celery.md.
    """
    if settings is None or isinstance(settings, str):
        lines = [f"Settings (environment variables): {settings or 'none'}."]
    else:
        lines = ["Settings (environment variables):", *_rows(settings)]
    return "\n".join(["\b", *lines, STATUSES, f"Read on: {' and '.join(pages)}."])


def _rows(settings: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a table of two columns."""
    column = max(map(len, settings))
    for name, text in settings.items():
        lines = wrap(text, _WIDTH - column - 4, break_long_words=False, break_on_hyphens=False)
        yield f"  {name:{column}}  {lines[0]}"
        yield from (" " * (column + 4) + line for line in lines[1:])
