"""Rows of text in columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows under their headings, each column as wide as its widest cell; the last column is not padded.

    Parameters
    ----------
    headings : Sequence[str]
        One for each column.
    rows : Iterable[Sequence[str]]
        As many cells in each row as there are headings.

    Returns
    -------
    str
        Lines without a final newline.

    Examples
    --------
    >>> print(table(("TASK", "TRIES"), [("Calibrate", "1"), ("Write", "12")]))
    TASK       TRIES
    Calibrate  1
    Write      12
    """
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([*map(str.ljust, line[:-1], widths[:-1]), line[-1]]).rstrip() for line in lines)
