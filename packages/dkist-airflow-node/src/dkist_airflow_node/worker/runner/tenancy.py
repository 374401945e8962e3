"""The lock of an environment, for as long as a task uses it."""

from __future__ import annotations

import fcntl
import os
import time

from .errors import CannotRunError
from .store import BUILD_FAILED, LOCK_SUFFIX, LOOK_SECONDS, take_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .environment import Environment
    from .supervisor import Supervisor

ENVIRONMENT_WAIT_SECONDS = 1800.0
"""How long a task waits for others that hold its environment: longer than any build that goes well."""


class Tenancy:
    """The use of an environment by this runner: shared with other tasks, or alone to build it."""

    def __init__(self, environment: Environment, supervisor: Supervisor) -> None:
        self.environment = environment
        self.path = environment.path
        self.supervisor = supervisor
        self.descriptor = -1

    def holder(self) -> str:
        """Return what the lock says of who holds it."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        return os.read(self.descriptor, 200).decode(errors="replace").strip() or "another task"

    def write_holder(self, text: str) -> None:
        """Say in the lock who holds it; this also sets the time of the last use."""
        try:
            os.ftruncate(self.descriptor, 0)
            os.write(self.descriptor, text.encode())
            os.utime(self.descriptor)
        except OSError as error:
            from .cold.disk import cannot_write

            raise cannot_write(f"the environment store {self.environment.store}", error) from error

    def enter(self) -> None:
        """Hold the shared lock of a usable environment; build it where nobody else does."""
        try:
            self.descriptor = os.open(self.path + LOCK_SUFFIX, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            from .cold.disk import cannot_write

            raise cannot_write(f"the environment store {self.environment.store}", error) from error
        # Inherited, so that what a task or a build leaves behind keeps the environment.
        fcntl.fcntl(self.descriptor, fcntl.F_SETFD, 0)
        deadline = time.monotonic() + ENVIRONMENT_WAIT_SECONDS
        has_waited = False
        while not (
            self.environment.is_usable() and take_lock(self.descriptor, fcntl.LOCK_SH) and self.environment.is_usable()
        ):
            if take_lock(self.descriptor, fcntl.LOCK_EX) and not self.environment.is_usable():
                self.build()
            if not take_lock(self.descriptor, fcntl.LOCK_SH):
                self.wait_for_others(deadline)
                has_waited = True
            if self.environment.is_usable():
                break
            if has_waited and self.holder() == BUILD_FAILED:
                raise CannotRunError(f"the build of {self.path} that this task waited for failed; its log says why")
            if time.monotonic() > deadline:
                raise CannotRunError(f"{self.path} has to be built again, but is in use")
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
            self.supervisor.wait(LOOK_SECONDS * (1 + os.getpid() % 7) / 4)  # not all of those that wait at once
        self.write_holder("")

    def wait_for_others(self, deadline: float) -> None:
        """Wait for the shared lock: the exclusive one would be had when the others' tasks are over."""
        self.supervisor.output.say(f"waiting for {self.path}, held by {self.holder()}")
        while not take_lock(self.descriptor, fcntl.LOCK_SH):
            if time.monotonic() > deadline:
                raise CannotRunError(
                    f"gave up after {ENVIRONMENT_WAIT_SECONDS:.0f} s: {self.path} is still held by {self.holder()}"
                )
            self.supervisor.wait(LOOK_SECONDS)

    def build(self) -> None:
        """Build it, or keep nothing of it and report that to those that wait."""
        from .cold.build import Build

        self.write_holder(f"process {os.getpid()} on {os.uname().nodename}\n")
        try:
            Build(self.environment, self.supervisor).make()
        except CannotRunError:
            try:
                self.write_holder(BUILD_FAILED)
            except CannotRunError as error:
                self.supervisor.output.say(str(error), "WARNING")
            raise
