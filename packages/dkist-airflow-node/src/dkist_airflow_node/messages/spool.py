"""The spool: messages that wait on this host, one file each, in a folder that belongs to this user alone.

A file is written under a temporary name, synced and renamed, so it is either complete or not there. A sender locks it
first (``flock``, which the kernel releases when a process dies): two senders send each message once, and a process that
was killed leaves nothing to clean up.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_airflow_node.errors import MessageFormatError, SpoolError
from dkist_airflow_node.messages.spool_file import (
    REFUSED,
    UNREADABLE,
    locked,
    message_in,
    set_aside,
    sync_folder,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUFFIX = ".json"
UNFINISHED_SUFFIX = ".part"
UNDECIDED = "undecided"
"""Folder in the spool for messages of tasks that may not have failed."""

MAXIMUM_MESSAGES = 10_000
"""Limit of the spool; with about 700 bytes a message, a few days of nothing but failures."""


@dataclass(frozen=True)
class Claim:
    """A message in the spool that this process, and no other, may send."""

    path: Path
    """Its file."""

    body: bytes
    """What to publish."""

    _descriptor: int

    def remove(self) -> None:
        """Delete the file: the broker has the message.

        Raises
        ------
        SpoolError
            The file cannot be deleted.
        """
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise SpoolError(f"{self.path} is published, but cannot be deleted: {error}") from error

    def release(self) -> None:
        """Let other processes send the message."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def set_aside(self, reason: object) -> None:
        """Move the file to the folder ``refused``, and log why."""
        set_aside(self.path, REFUSED, reason)


class Spool:
    """The folder of the messages that wait.

    Parameters
    ----------
    folder : Path
        Created, for this user alone, when the first message is added.
    maximum_messages : int
        How many messages may wait.
    """

    def __init__(self, folder: Path, *, maximum_messages: int = MAXIMUM_MESSAGES) -> None:
        self.folder = folder
        self._maximum_messages = maximum_messages

    @property
    def undecided(self) -> Spool:
        """Messages that nobody sends before `dkist_airflow_node.site.reconcile` has asked Airflow for the failure."""
        return Spool(self.folder / UNDECIDED, maximum_messages=self._maximum_messages)

    def add(self, body: bytes) -> Path:
        """Write a message to disk; when this returns, the message survives a crash of the host.

        Parameters
        ----------
        body : bytes
            A failure message.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        SpoolError
            The folder cannot be written, belongs to another user, or is full.
        """
        path, descriptor = self.add_held(body)
        os.close(descriptor)
        return path

    def add_held(self, body: bytes) -> tuple[Path, int]:
        """Write a message as `add` does, and keep its lock: nobody sends it until the descriptor is closed.

        The kernel closes it when this process dies, so the message is never lost.
        """
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
        unfinished, finished = (self.folder / f"{name}{suffix}" for suffix in (UNFINISHED_SUFFIX, SUFFIX))
        try:
            self._make_folder()
            if len(self.paths()) >= self._maximum_messages:
                raise SpoolError(
                    f"the spool {self.folder} is full: {self._maximum_messages} messages wait there; "
                    "send them with 'dkist-airflow-node messages resend'"
                )
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                write(descriptor, body)
                unfinished.rename(finished)
                sync_folder(self.folder)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                os.close(descriptor)
                raise
        except SpoolError:
            raise
        except OSError as error:
            raise SpoolError(f"the spool {self.folder} cannot be written: {error}") from error
        return finished, descriptor

    def paths(self) -> list[Path]:
        """Return the files of the messages that wait, oldest first."""
        return self._paths(SUFFIX)

    def paths_aside(self) -> list[Path]:
        """Return the files that were set aside: they are not messages, or the broker refuses them."""
        found: list[Path] = []
        for folder in (UNREADABLE, REFUSED):
            with suppress(OSError):
                found += sorted((self.folder / folder).iterdir())
        return found

    def claims(self) -> Iterator[Claim]:
        """Yield each message that no other process is sending, oldest first.

        A file that is not a message is moved to the folder ``unreadable``, with a warning.

        Yields
        ------
        Claim
            This process holds it until it asks for the next one.
        """
        for path in (*self._paths(UNFINISHED_SUFFIX), *self.paths()):
            if path.is_symlink() or (path.exists() and not path.is_file()):
                set_aside(path, UNREADABLE, "it is not a file")
        self._finish_unfinished()
        for path in self.paths():
            with locked(path) as descriptor:
                if descriptor is None:
                    continue
                try:
                    body = message_in(descriptor)
                except MessageFormatError as error:
                    set_aside(path, UNREADABLE, error)
                else:
                    yield Claim(path=path, body=body, _descriptor=descriptor)

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self.folder.stat()
        if status.st_uid != os.geteuid():
            raise SpoolError(
                f"the spool {self.folder} belongs to user {status.st_uid}, not to this user ({os.geteuid()}); "
                "name another folder in DKIST_MESSAGE_SPOOL"
            )
        if stat.S_IMODE(status.st_mode) & 0o077:
            self.folder.chmod(0o700)

    def _paths(self, suffix: str) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if path.name.endswith(suffix))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SpoolError(
                f"the spool {self.folder} cannot be read: {error.strerror}; name another folder in DKIST_MESSAGE_SPOOL"
            ) from error

    def _finish_unfinished(self) -> None:
        """Rename the files that killed processes had written and not yet renamed."""
        for path in self._paths(UNFINISHED_SUFFIX):
            with locked(path) as descriptor:
                if descriptor is None:
                    continue
                try:
                    message_in(descriptor)
                except MessageFormatError as error:
                    # Its writer may have opened it and not locked it yet. After a second, the writer must be dead.
                    status = os.fstat(descriptor)
                    if time.time() - status.st_mtime > 1:
                        set_aside(path, UNREADABLE, error) if status.st_size else path.unlink(missing_ok=True)
                else:
                    os.fsync(descriptor)
                    path.rename(path.with_suffix(SUFFIX))


def spool_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of this user's spool.

    Parameters
    ----------
    environment : Mapping[str, str]
        Environment variables.

    Returns
    -------
    Path
        ``DKIST_MESSAGE_SPOOL``, or ``${XDG_STATE_HOME:-$HOME/.local/state}/dkist/messages``.

    Raises
    ------
    SpoolError
        The variable does not hold an absolute path, or this user has no home folder.
    """
    if named := environment.get("DKIST_MESSAGE_SPOOL"):
        if not Path(named).is_absolute():
            raise SpoolError(f"DKIST_MESSAGE_SPOOL must be an absolute path, not {named!r}")
        return Path(named)
    state = Path(environment.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():  # the XDG specification says to ignore it then
        home = environment.get("HOME", "")
        state = (Path(home) if Path(home).is_absolute() else _home_of_user()) / ".local" / "state"
    return state / "dkist" / "messages"


def _home_of_user() -> Path:
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError as error:
        raise SpoolError("this user has no home folder; name a folder in DKIST_MESSAGE_SPOOL") from error
