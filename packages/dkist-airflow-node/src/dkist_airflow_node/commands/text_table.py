"""Rows of text in columns, and text that is safe to print."""

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


def cell(value: object, width: int = 80) -> str:
    r"""Return a value as one line of a table: printable, of bounded length, and a dash for None.

    Parameters
    ----------
    value : object
        Anything, such as the text of an exception.
    width : int
        The most characters to return.

    Returns
    -------
    str
        Control characters, which a terminal would obey, are written as escapes.

    Examples
    --------
    >>> [cell("two\nlines"), cell("\x1b[2J"), cell(None), cell("calibration", width=6)]
    ['two lines', '\\x1b[2J', '-', 'calib…']
    """
    if value is None:
        return "-"
    text = " ".join(str(value).split())
    text = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return text if len(text) <= width else f"{text[: width - 1]}\N{HORIZONTAL ELLIPSIS}"
