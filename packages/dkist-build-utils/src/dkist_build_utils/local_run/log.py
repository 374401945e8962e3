"""The log of one attempt: what its process writes, for people to read while it runs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RECORD = b"\x1e"
"""How a line begins that is a log record in JSON."""
LINE_BYTES = 65_536
"""What of an unfinished line is kept before it is written as a line of its own."""
TAIL_LINES = 20
"""Lines that are shown of a failed task's log."""
TAIL_BYTES = 16_384


class AttemptLog:
    """A file that takes the output of a process line by line.

    Records become a readable line. Of a progress bar, which rewrites its line, the last state is kept.

    Parameters
    ----------
    path : Path
        The file; replaced where it is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        """Why the file does not hold everything."""
        self._unfinished = b""
        self._last = b""
        self._file: int | None = None
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self._give_up(error)

    @property
    def last_line(self) -> str:
        """What was written last."""
        unfinished = _state(self._unfinished)
        line = self._last if unfinished.startswith(RECORD) else unfinished.strip() or self._last
        return line.decode(errors="replace").strip()

    def feed(self, block: bytes) -> None:
        """Take what the process wrote."""
        *lines, self._unfinished = (self._unfinished + block).split(b"\n")
        if len(self._unfinished) > LINE_BYTES:
            lines.append(self._unfinished)
            self._unfinished = b""
        if lines:
            readable = [_readable(line) for line in lines]
            self._last = next((line for line in reversed(readable) if line.strip()), self._last).rpartition(b"\n")[2]
            self._write(b"\n".join(readable) + b"\n")

    def close(self) -> None:
        """Write what has no end of line yet, and close the file."""
        if self._unfinished:
            self.feed(b"\n")
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, content: bytes) -> None:
        while content and self._file is not None:
            try:
                content = content[os.write(self._file, content) :]
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Go on without the file: the journal says whether the run can."""
        self.problem = f"{self.path} does not hold the whole log: {error.strerror}"
        if self._file is not None:
            os.close(self._file)
            self._file = None


def tail_of(path: Path) -> list[str]:
    """Return the last lines of a log; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
    except OSError:
        return []


def _state(line: bytes) -> bytes:
    """Return what a terminal would show of a line in the end."""
    return line.rstrip(b"\r").rpartition(b"\r")[2]


def _readable(line: bytes) -> bytes:
    """Return a line for people."""
    text, mark, record = _state(line).partition(RECORD)
    if not mark:
        return text
    try:
        entry = json.loads(record)
        time = str(entry["time"]).replace("T", " ")[:23]
        message = f"{time} {entry['level']} {entry['logger']}: {entry['message']}".encode(errors="replace")
    except (ValueError, TypeError, LookupError):
        message = record
    return text + b"\n" + message if text else message
