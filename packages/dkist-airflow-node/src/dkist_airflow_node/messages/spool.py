"""Messages that wait on this host: one file each, in a folder of this user's own.

A file is written under a temporary name, synced and renamed, so it is whole or not there. Whoever wants to send it
locks it first (``flock``, which the kernel gives back when a process dies), so two that send at once send each message
once, and nothing has to be tidied after a process that was killed.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_airflow_node.messages.message import MAXIMUM_BYTES, FailureMessage, MessageError, MessageFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUFFIX = ".json"
UNFINISHED_SUFFIX = ".part"
ASIDE = "unreadable"
"""Folder in the spool for files that are no messages."""

MAXIMUM_MESSAGES = 10_000
"""Bound of the spool; at about 700 bytes a message, a few days of nothing but failures."""


class SpoolError(MessageError, OSError):
    """The spool cannot take a message."""


@dataclass(frozen=True)
class Waiting:
    """A message in the spool that this process, and no other, may send."""

    path: Path
    """Its file."""

    body: bytes
    """What to publish."""

    _descriptor: int

    def remove(self) -> None:
        """Forget the message: the broker has it."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise SpoolError(f"{self.path} is sent, and cannot be removed: {error}") from error

    def release(self) -> None:
        """Let others send it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)


class Spool:
    """The folder of the messages that wait.

    Parameters
    ----------
    folder
        Made, for this user alone, by the first message that is added.
    maximum_messages
        How many may wait.
    """

    def __init__(self, folder: Path, *, maximum_messages: int = MAXIMUM_MESSAGES) -> None:
        self.folder = folder
        self._maximum_messages = maximum_messages

    def add(self, body: bytes) -> Path:
        """Keep a message; when this returns it outlasts a crash of the host.

        Raises
        ------
        SpoolError
            The folder is not to be had, not private, or full.
        """
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
        unfinished, finished = (self.folder / f"{name}{suffix}" for suffix in (UNFINISHED_SUFFIX, SUFFIX))
        try:
            self._make_folder()
            if len(self._names(SUFFIX)) >= self._maximum_messages:
                raise SpoolError(f"{self.folder} is full: {self._maximum_messages} messages wait there")
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                _write(descriptor, body)
                unfinished.rename(finished)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
            finally:
                os.close(descriptor)
            _sync_folder(self.folder)
        except SpoolError:
            raise
        except OSError as error:
            raise SpoolError(f"no message can be kept in {self.folder}: {error}") from error
        return finished

    def paths(self) -> list[Path]:
        """Return the files of the messages that wait, oldest first."""
        return [self.folder / name for name in self._names(SUFFIX)]

    def set_aside(self) -> list[Path]:
        """Return the files that were found to be no messages."""
        with suppress(OSError):
            return sorted((self.folder / ASIDE).iterdir())
        return []

    def claims(self) -> Iterator[Waiting]:
        """Yield each message that no other process is sending, oldest first; ours until the next one is asked for.

        A file that is no message is set aside in the folder ``unreadable``, and the next one is taken.
        """
        self._finish_unfinished()
        for path in self.paths():
            with _locked(path) as descriptor:
                if descriptor is None:
                    continue
                try:
                    body = _read_message(descriptor)
                except MessageFormatError:
                    self._put_aside(path)
                else:
                    yield Waiting(path=path, body=body, _descriptor=descriptor)

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self.folder.stat()
        if status.st_uid != os.geteuid():
            owner = status.st_uid
            raise SpoolError(f"{self.folder} belongs to user {owner}, not to this one ({os.geteuid()}); name another")
        if stat.S_IMODE(status.st_mode) & 0o077:
            self.folder.chmod(0o700)

    def _names(self, suffix: str) -> list[str]:
        try:
            return sorted(path.name for path in self.folder.iterdir() if path.name.endswith(suffix))
        except FileNotFoundError:
            return []
        except OSError as error:
            reason = f"the spool {self.folder} cannot be read: {error.strerror}; name another in DKIST_MESSAGE_SPOOL"
            raise SpoolError(reason) from error

    def _finish_unfinished(self) -> None:
        """Take in what a process that was killed had written, but not yet renamed."""
        for name in self._names(UNFINISHED_SUFFIX):
            path = self.folder / name
            with _locked(path) as descriptor:
                if descriptor is None:
                    continue
                try:
                    _read_message(descriptor)
                except MessageFormatError:
                    # Its writer may have it open and be about to lock it; a second later it is dead.
                    status = os.fstat(descriptor)
                    if time.time() - status.st_mtime > 1:
                        self._put_aside(path) if status.st_size else path.unlink(missing_ok=True)
                else:
                    os.fsync(descriptor)
                    path.rename(path.with_suffix(SUFFIX))

    def _put_aside(self, path: Path) -> None:
        aside = self.folder / ASIDE
        with suppress(OSError):  # then it stays where it is, and is passed over each time
            aside.mkdir(mode=0o700, exist_ok=True)
            path.rename(aside / path.name)


def spool_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of this user's spool.

    ``DKIST_MESSAGE_SPOOL``, or the place for state that a program keeps:
    ``${XDG_STATE_HOME:-$HOME/.local/state}/dkist/messages``.

    Raises
    ------
    SpoolError
        The folder that is named is not absolute.
    """
    if named := environment.get("DKIST_MESSAGE_SPOOL"):
        if not Path(named).is_absolute():
            raise SpoolError(f"DKIST_MESSAGE_SPOOL must be an absolute path, not {named!r}")
        return Path(named)
    state = Path(environment.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():  # the specification says to ignore it then
        home = environment.get("HOME", "")
        state = (Path(home) if Path(home).is_absolute() else _home_of_user()) / ".local" / "state"
    return state / "dkist" / "messages"


def _home_of_user() -> Path:
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError as error:
        raise SpoolError("this user has no home folder; name a folder in DKIST_MESSAGE_SPOOL") from error


@contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """Open and lock a file; None where another process has it, has just sent it, or may not be read."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
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


def _read_message(descriptor: int) -> bytes:
    try:
        body = os.pread(descriptor, MAXIMUM_BYTES + 1, 0)
    except OSError as error:  # a pipe, or a disk that cannot be read
        raise MessageFormatError(str(error)) from error
    FailureMessage.from_json(body)
    return body


def _write(descriptor: int, body: bytes) -> None:
    while body:
        body = body[os.write(descriptor, body) :]
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
