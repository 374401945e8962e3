"""Names that a release folder gives to what it holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,254}")
"""Names that mean the same to every file system, shell and person."""


def lock_file_name(extras: Iterable[str]) -> str:
    """Return the name of the lock for a set of extras in a release folder."""
    return ".".join(["requirements", *filter(None, ["+".join(extras)]), "txt"])
