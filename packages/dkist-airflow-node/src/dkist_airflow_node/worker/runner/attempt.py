"""The attempt: one of a key at a time on this host, with a folder for its files."""

from __future__ import annotations

import fcntl
import os

from .errors import CannotRunError
from .plain_json import parse_json
from .processes import parent_and_start_of
from .store import ATTEMPTS, LOCK_SUFFIX, hexdigest, take_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .supervisor import Supervisor

MAXIMUM_OUTCOME_CHARACTERS = 1_000_000
"""More than a launcher writes."""


class Attempt:
    """One attempt of a task: the only one of its key on this host, with a folder for its files."""

    def __init__(self, store: str, key: str | None, supervisor: Supervisor) -> None:
        self.key = key or f"without a key {os.urandom(8).hex()}"
        self.supervisor = supervisor
        self.folder = f"{store}/{ATTEMPTS}/{hexdigest(self.key.encode('utf-8', 'surrogateescape'))[:32]}"
        self.descriptor = -1
        self.outcome_file = f"{self.folder}/outcome"
        self.stop_file = f"{self.folder}/stop"

    def enter(self) -> None:
        """Wait for the end of other attempts, end what a killed one left, and hold the lock."""
        try:
            os.makedirs(os.path.dirname(self.folder), 0o700, exist_ok=True)
            while not self.is_held():
                self.descriptor = os.open(self.folder + LOCK_SUFFIX, os.O_RDWR | os.O_CREAT, 0o600)
                if not take_lock(self.descriptor, fcntl.LOCK_EX):
                    from .cold.orphans import wait_for_lock

                    wait_for_lock(self.descriptor, self.supervisor)
            self.clear()
            os.mkdir(self.folder, 0o700)
            pid = os.getpid()
            os.write(self.descriptor, f"{pid} {parent_and_start_of(pid)[1]} {self.key}\n".encode(errors="replace"))
        except OSError as error:
            raise CannotRunError(f"cannot write to {self.folder}: {error.strerror}") from error
        # Inherited, so that what a killed runner leaves behind can be found.
        fcntl.fcntl(self.descriptor, fcntl.F_SETFD, 0)

    def is_held(self) -> bool:
        """Return whether the lock that is held is the file that others would open: the one before may be gone."""
        try:
            if self.descriptor >= 0 and os.path.samestat(os.fstat(self.descriptor), os.stat(self.folder + LOCK_SUFFIX)):
                os.ftruncate(self.descriptor, 0)
                return True
        except FileNotFoundError:
            pass
        if self.descriptor >= 0:
            os.close(self.descriptor)
        return False

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
        if self.descriptor >= 0:
            try:
                self.clear()
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
