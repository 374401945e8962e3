"""Sizes in bytes, as people write them."""

from __future__ import annotations

import re

UNITS = ("B", "kB", "MB", "GB", "TB")
"""Decimal: each is 1000 times the one before."""

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(iB|B)?|B)", re.ASCII | re.IGNORECASE)


def size_text(size: float) -> str:
    """Return a size with its unit, in decimal units.

    Parameters
    ----------
    size : float
        Bytes.

    Returns
    -------
    str
        One decimal from kB on.

    Examples
    --------
    >>> [size_text(size) for size in (0, 999, 12_345, 999_960, 2.5e9)]
    ['0 B', '999 B', '12.3 kB', '1.0 MB', '2.5 GB']
    """
    power = 0
    while power < len(UNITS) - 1 and (size >= 1000 or round(size, 1) >= 1000):
        size /= 1000
        power += 1
    return f"{size:.0f} B" if power == 0 else f"{size:.1f} {UNITS[power]}"


def size_from_text(text: str) -> int:
    """Return the bytes of a size with its unit, decimal or binary.

    Parameters
    ----------
    text : str
        A number and a unit; 0 needs no unit.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ValueError
        It is not a size, or has no unit.

    Examples
    --------
    >>> [size_from_text(text) for text in ("500MB", "1.5 GiB", "2G", "0")]
    [500000000, 1610612736, 2000000000, 0]
    """
    text = text.strip()
    if text == "0":
        return 0
    match = SIZE.fullmatch(text)
    if match is None:
        problem = "has no unit" if text.replace(".", "", 1).isdecimal() else "is not a size"
        raise ValueError(f"{text!r} {problem}; write a number and a unit, such as 500MB, 20GB or 20GiB")
    number, prefix, suffix = match.groups(default="")
    base = 1024 if suffix.lower() == "ib" else 1000
    return int(float(number) * base ** " KMGT".index(prefix.upper() or " "))
