"""The attempt: one of a key at a time on this host, with a folder for its files."""

from __future__ import annotations

import fcntl
import os

from .plain_json import parse_json
from .processes import parent_and_start_of
from .store import ATTEMPTS, LOCK_SUFFIX, hexdigest, take_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .supervisor import Supervisor

SECOND_NAME = "lock"
"""The lock of an attempt that runs, in its folder."""
MAXIMUM_OUTCOME_CHARACTERS = 1_000_000
"""More than a launcher writes."""


class Attempt:
    """One attempt of a task: the only one of its key on this host, with a folder for its files."""

    def __init__(self, store: str, key: str | None, supervisor: Supervisor) -> None:
        self.key = key or f"without a key {os.urandom(8).hex()}"
        self.supervisor = supervisor
        self.folder = f"{store}/{ATTEMPTS}/{hexdigest(self.key.encode('utf-8', 'surrogateescape'))[:32]}"
        self.descriptor = -1
        self.is_entered = False
        """Whether folder and lock are this attempt's: while it waits, they are another's."""
        self.outcome_file = f"{self.folder}/outcome"
        self.stop_file = f"{self.folder}/stop"

    def enter(self) -> None:
        """Wait for the end of other attempts, end what a killed one left, and hold the lock."""
        try:
            os.makedirs(os.path.dirname(self.folder), 0o700, exist_ok=True)
            while not self.is_held():
                self.descriptor = os.open(self.folder + LOCK_SUFFIX, os.O_RDWR | os.O_CREAT, 0o600)
                self.take(self.descriptor)
                self.take_second_name()
            self.is_entered = True
            self.clear()
            os.mkdir(self.folder, 0o700)
            self.give_second_name()
            pid = os.getpid()
            os.write(self.descriptor, f"{pid} {parent_and_start_of(pid)[1]} {self.key}\n".encode(errors="replace"))
        except OSError as error:
            from .cold.disk import cannot_write

            raise cannot_write(self.folder, error) from error
        # Inherited, so that what a killed runner leaves behind can be found.
        fcntl.fcntl(self.descriptor, fcntl.F_SETFD, 0)

    def is_held(self) -> bool:
        """Hold the lock only if it is the file that others would open: the one before may be gone."""
        if self.is_own(self.folder + LOCK_SUFFIX):
            os.ftruncate(self.descriptor, 0)
            return True
        if self.descriptor >= 0:
            os.close(self.descriptor)
        return False

    def is_own(self, path: str) -> bool:
        """Return whether a path leads to the lock that this attempt has open."""
        try:
            return self.descriptor >= 0 and os.path.samestat(os.fstat(self.descriptor), os.stat(path))
        except FileNotFoundError:
            return False

    def take(self, descriptor: int) -> None:
        """Take a lock, as soon as whoever holds it has ended."""
        if not take_lock(descriptor, fcntl.LOCK_EX):
            from .cold.orphans import wait_for_lock

            wait_for_lock(descriptor, self.supervisor)

    def give_second_name(self) -> None:
        """Have the lock in the folder as well: somebody who deletes lock files must not let two attempts run."""
        try:
            os.link(self.folder + LOCK_SUFFIX, f"{self.folder}/{SECOND_NAME}")
        except OSError:
            return  # a file system without links

    def take_second_name(self) -> None:
        """Wait for an attempt that runs though its lock was deleted."""
        try:
            descriptor = os.open(f"{self.folder}/{SECOND_NAME}", os.O_RDWR)
        except OSError:  # there is no such attempt
            return
        if not os.path.samestat(os.fstat(descriptor), os.fstat(self.descriptor)):
            self.take(descriptor)
        os.close(descriptor)

    def clear(self) -> None:
        """Remove the folder of the attempt, or of one that was killed."""
        try:
            for name in os.listdir(self.folder):
                os.unlink(f"{self.folder}/{name}")
            os.rmdir(self.folder)
        except FileNotFoundError:
            pass
        except IsADirectoryError:  # a task may have put anything there
            import shutil

            shutil.rmtree(self.folder)

    def leave(self) -> None:
        """Remove folder and lock: nothing is left that another attempt would have to wait for."""
        if self.is_entered:
            try:
                self.clear()
                if self.is_own(self.folder + LOCK_SUFFIX):
                    os.unlink(self.folder + LOCK_SUFFIX)
            except OSError:
                pass

    def outcome(self) -> dict[str, Any]:
        """Return what the launcher wrote; nothing where it did not come to that."""
        try:
            # A task may have put anything there: a pipe that nobody writes to must not hold up a stop.
            descriptor = os.open(self.outcome_file, os.O_RDONLY | os.O_NONBLOCK)
            with open(descriptor, encoding="utf-8", errors="replace") as file:
                outcome = parse_json(file.read(MAXIMUM_OUTCOME_CHARACTERS))
        except (OSError, ValueError, RecursionError):
            return {}
        return outcome if isinstance(outcome, dict) else {}
