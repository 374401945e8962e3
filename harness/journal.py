"""A file of lines that other processes append to while it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def whole_lines(journal: Path) -> list[str]:
    """Return the lines so far, none where there is no file.

    A line that crosses a page may be seen half while it is written. It has no newline yet and is left for later.
    """
    if not journal.exists():
        return []
    return journal.read_text().rpartition("\n")[0].splitlines()
