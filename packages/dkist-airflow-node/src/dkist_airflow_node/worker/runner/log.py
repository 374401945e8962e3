"""The log: what programs write, in whole lines, and what the runner itself says."""

from __future__ import annotations

import os
import time

from .plain_json import render_json

MAXIMUM_LINE_BYTES = 65_536
RECORD = b"\x1e"
"""RS, as in RFC 7464: the beginning of a line that is a JSON record."""


def tidy(lines: bytes) -> bytes:
    """Return whole lines as the log has them: UTF-8, bounded, one state of a progress bar, records on their own."""
    is_short = len(lines) <= MAXIMUM_LINE_BYTES or max(map(len, lines.split(b"\n"))) < MAXIMUM_LINE_BYTES
    records = lines.count(RECORD)
    if is_short and b"\r" not in lines and records == lines.count(b"\n" + RECORD) + lines.startswith(RECORD):
        try:
            lines.decode()
        except UnicodeDecodeError:
            pass
        else:
            return lines
    return b"".join(piece + b"\n" for line in lines[:-1].split(b"\n") for piece in pieces(line))


def pieces(line: bytes) -> list[bytes]:
    """Return the lines that stand for one line of a task, each shorter than the maximum."""
    line = line.rstrip(b"\r").rpartition(b"\r")[2]  # what a terminal would show in the end
    line = line.decode("utf-8", "backslashreplace").encode()
    first, *records = line.split(RECORD)  # a record that follows text without a newline
    found = []
    for part in [first] * bool(first or not records) + [RECORD + record for record in records]:
        rest = part
        while len(rest) >= MAXIMUM_LINE_BYTES:
            end = character_begin(rest, MAXIMUM_LINE_BYTES - 1)
            found.append(rest[:end])
            rest = rest[end:]
        found.append(rest)
    return found


def character_begin(text: bytes, index: int) -> int:
    """Return where the character at an index begins; UTF-8 has at most three bytes that continue one."""
    for begin in range(index, index - 4, -1):
        if text[begin] & 0xC0 != 0x80:
            return begin
    return index


class Output:
    """Standard output: what the task says, in whole lines, for as long as somebody reads it."""

    def __init__(self, descriptor: int) -> None:
        import stat

        self.descriptor = descriptor
        self.waiting = b""
        """Lines that the reader has not taken yet. While there are some, nothing more is read from the task."""
        self.line = b""
        """The beginning of a line."""
        self.is_open = True
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):  # a reader that stands still must not hold up a stop
            os.set_blocking(descriptor, False)

    def feed(self, block: bytes) -> None:
        """Take what a program wrote."""
        if not self.is_open:
            return
        lines, newline, self.line = (self.line + block).rpartition(b"\n")
        if b"\r" in self.line[:-1]:
            self.line = self.line[:-1].rpartition(b"\r")[2] + self.line[-1:]
        if len(self.line) >= MAXIMUM_LINE_BYTES:
            end = character_begin(self.line, len(self.line) - 1)
            cut, self.line = self.line[:end], self.line[end:]
            lines, newline = lines + newline + cut, b"\n"
        if newline:
            self.put(tidy(lines + newline))

    def finish_line(self) -> None:
        """End a line that has no end of its own."""
        if self.line:
            self.feed(b"\n")

    def say(self, message: str, level: str = "INFO", **group: str | None) -> None:
        """Write a record of the runner's own."""
        now = time.time()
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e6):06d}+00:00"
        record = {"level": level, "logger": "dkist.runner", "message": message[:20_000], "time": stamp, **group}
        self.put(RECORD + render_json(record).encode() + b"\n")

    def put(self, lines: bytes) -> None:
        """Write lines, or keep them until the reader takes them."""
        if self.is_open:
            self.waiting += lines
            self.write()

    def write(self) -> None:
        """Write as much as the reader takes. A reader that went away is no concern of the task."""
        while self.waiting:
            try:
                taken = os.write(self.descriptor, self.waiting)
            except BlockingIOError:
                return
            except OSError:
                self.is_open, self.waiting, self.line = False, b"", b""
            else:
                self.waiting = self.waiting[taken:]
