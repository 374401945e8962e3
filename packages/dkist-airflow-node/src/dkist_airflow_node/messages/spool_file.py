"""One file of the spool: reading, locking, writing and setting aside."""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dkist_airflow_node.errors import MessageFormatError
from dkist_airflow_node.messages.message import MAXIMUM_BYTES, FailureMessage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

UNREADABLE = "unreadable"
"""Folder in the spool for files that are not messages."""

REFUSED = "refused"
"""Folder in the spool for messages that the broker does not accept, whatever its state."""


def read_message(path: Path) -> bytes:
    """Return the message in a file; a pipe or a device does not block it.

    Parameters
    ----------
    path : Path
        A file of a spool.

    Returns
    -------
    bytes
        The body of a failure message.

    Raises
    ------
    MessageFormatError
        It is not a file, cannot be read, or does not hold a message.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise MessageFormatError(str(error)) from error
    try:
        return message_in(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[int | None]:
    """Open and lock a file; yield None where another process holds it or has just sent it, or it cannot be opened."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        descriptor = None
    except OSError as error:
        logger.warning("A failure message is passed over: %s", error)
        descriptor = None
    if descriptor is None:
        yield None
        return
    try:
        yield descriptor if _lock(descriptor, path) else None
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except OSError:
        return False


def message_in(descriptor: int) -> bytes:
    """Return the message in an open file.

    Parameters
    ----------
    descriptor : int
        Of the file.

    Returns
    -------
    bytes
        The body of a failure message.

    Raises
    ------
    MessageFormatError
        It is not a file, cannot be read, or does not hold a message.
    """
    try:
        body = os.pread(descriptor, MAXIMUM_BYTES + 1, 0)
    except OSError as error:  # a pipe, or a disk that cannot be read
        raise MessageFormatError(str(error)) from error
    FailureMessage.from_json(body)
    return body


def set_aside(path: Path, folder: str, reason: object) -> None:
    """Move what must not block the queue to a folder of the spool, and log it.

    Parameters
    ----------
    path : Path
        A file of the spool.
    folder : str
        `UNREADABLE` or `REFUSED`.
    reason : object
        Why, for the log.
    """
    aside = path.parent / folder
    try:
        aside.mkdir(mode=0o700, exist_ok=True)
        path.rename(aside / path.name)
    except FileNotFoundError:
        return  # another process has moved it
    except OSError as error:
        logger.warning("%s cannot be moved to %s (%s), and is passed over each time: %s", path, aside, error, reason)
    else:
        logger.warning("%s was moved to %s and will not be sent: %s", path, aside, reason)


def write(descriptor: int, body: bytes) -> None:
    """Write a body to an open file, and sync it to disk."""
    while body:
        body = body[os.write(descriptor, body) :]
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Sync to disk which files a folder holds."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
