"""Spans of time, as people write them."""

from __future__ import annotations

import re
from datetime import timedelta

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
"""Seconds of each unit."""

DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhd])", re.ASCII | re.IGNORECASE)


def duration_from_text(text: str) -> timedelta:
    """Return a span of time that has a unit.

    Parameters
    ----------
    text : str
        A number and one of the units s, m, h and d.

    Returns
    -------
    timedelta
        The span.

    Raises
    ------
    ValueError
        It is not a span of time, or has no unit.

    Examples
    --------
    >>> [str(duration_from_text(text)) for text in ("90s", "5m", "1.5 h", "7d")]
    ['0:01:30', '0:05:00', '1:30:00', '7 days, 0:00:00']
    """
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a span of time; write a number and a unit, such as 30s, 5m, 24h or 7d")
    number, unit = match.groups()
    return timedelta(seconds=float(number) * UNITS[unit.lower()])


def duration_text(seconds: float) -> str:
    """Return a span of time in its two largest units.

    Parameters
    ----------
    seconds : float
        The span; less than 0 counts as 0.

    Returns
    -------
    str
        Such as ``2h 05m``.

    Examples
    --------
    >>> [duration_text(seconds) for seconds in (0, 59.9, 61, 7500, 200_000)]
    ['0s', '59s', '1m 01s', '2h 05m', '2d 07h']
    """
    whole = max(0, int(seconds))
    for unit, smaller in (("d", "h"), ("h", "m"), ("m", "s")):
        if whole >= UNITS[unit]:
            number, rest = divmod(whole, UNITS[unit])
            return f"{number}{unit} {rest // UNITS[smaller]:02d}{smaller}"
    return f"{whole}s"
