"""The names of distributions and extras."""

from __future__ import annotations

import re


def normalized_name(name: str) -> str:
    """Return the one spelling of the name of a distribution (PEP 503) or of an extra (PEP 685).

    Parameters
    ----------
    name : str
        The name in any spelling.

    Examples
    --------
    >>> normalized_name("DKIST.Processing__VBI")
    'dkist-processing-vbi'
    """
    return re.sub(r"[-_.]+", "-", name).lower()
