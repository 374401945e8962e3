"""What a person must decide after a migration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Decision:
    """One place that the migration did not change, because only a person can."""

    file: str
    """The file, relative to the folder of the package, with ``/`` between its parts."""
    line: int
    """The line, from 1, in the file as it is after the migration."""
    what: str
    """What is there, and what to do."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


@dataclass(frozen=True)
class Rewritten:
    """A file's new content, and what was left in it for a person."""

    content: bytes
    """The new bytes; the old ones where there was nothing to do."""
    decisions: tuple[tuple[int, str], ...] = ()
    """Line and text of each decision."""
