"""The ledger: which failures the broker has confirmed on this host, so that nobody reports them again.

It is a folder beside the messages that wait, with one file a day. Each confirmed message is one short line, which the
kernel appends as a whole: processes need no lock, and one that is killed leaves no half of a line. A full disk may cut
a line. The next one begins with a line end, so only the cut one is lost. That loses no message: the failure is reported
once more, with the same key.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER = "confirmed"
"""Folder in the spool."""

KEEP_DAYS = 35
"""How long a confirmed failure is remembered, and so how far back a reconciliation may look."""

MAXIMUM_BYTES = 64 * 1024 * 1024
"""Most that is read of a day's file: a million messages."""

FILE = re.compile(r"(\d{4}-\d\d-\d\d)\.keys", re.ASCII)
KEY = re.compile(r"[\x21-\x7e]{1,200}")
LINE = re.compile(rb"^(\d{10}) ([\x21-\x7e]{1,200})$", re.MULTILINE)


class Ledger:
    """The confirmed failures of one spool.

    Parameters
    ----------
    spool : Path
        Folder of the spool.
    """

    def __init__(self, spool: Path) -> None:
        self.folder = spool / FOLDER

    def add(self, key: str | None, *, now: float | None = None) -> None:
        """Record that the broker has confirmed a message; log it where that cannot be done.

        Parameters
        ----------
        key : str or None
            The message's ``idempotencyKey``; a message of an older version may have none.
        now : float or None
            Seconds since 1970; the time of this call if not given.
        """
        seconds = time.time() if now is None else now
        if key is None or not KEY.fullmatch(key):
            return  # a key that was not made here
        line = f"\n{int(seconds):010d} {key}\n".encode()
        try:
            self._append(datetime.fromtimestamp(seconds, UTC), line)
        except OSError as error:
            logger.warning(
                "The confirmed key %s is not recorded, so a reconciliation may report it again: %s", key, error
            )

    def confirmed(self) -> dict[str, float]:
        """Return when each failure was confirmed the last time, in seconds since 1970, by its key."""
        found: dict[str, float] = {}
        for path in sorted(self._paths()):
            for seconds, key in LINE.findall(_content(path)):
                found[key.decode()] = max(float(seconds), found.get(key.decode(), 0))
        return found

    def _append(self, moment: datetime, line: bytes) -> None:
        path = self.folder / f"{moment:%Y-%m-%d}.keys"
        is_new_day = not path.exists()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(f"{path} is not a file")
            if os.write(descriptor, line) < len(line):
                raise OSError(f"{path}: no space left on the device")
        finally:
            os.close(descriptor)
        if is_new_day:
            self._forget(moment - timedelta(days=KEEP_DAYS))

    def _forget(self, oldest: datetime) -> None:
        for path in self._paths():
            match = FILE.fullmatch(path.name)
            if match and match[1] < f"{oldest:%Y-%m-%d}":
                with suppress(OSError):
                    path.unlink()

    def _paths(self) -> Iterator[Path]:
        with suppress(FileNotFoundError, NotADirectoryError):
            yield from (path for path in self.folder.iterdir() if FILE.fullmatch(path.name))


def _content(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        logger.warning("%s is not read: %s", path, error)
        return b""
    try:
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MAXIMUM_BYTES) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError as error:
        logger.warning("%s is not read: %s", path, error)
        return b""
