"""Child processes that cannot outlive their owner."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

GUARDIAN = Path(__file__).with_name("guardian.py")
KILL_SECONDS = 60
"""How long the end of killed processes may take on a machine that is busy."""


class GuardedProcess:
    """A command whose whole process tree ends at `stop`, or when this process dies.

    Parameters
    ----------
    name : str
        Its name in messages.
    command : Sequence[str]
        Program and arguments.
    log : Path
        File that receives its output (appended).
    env : Mapping[str, str]
        Its whole environment.
    cwd : Path, optional
        Its working folder.
    grace_seconds : float, optional
        How long `stop` waits before it kills.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        cwd: Path | None = None,
        grace_seconds: float = 10,
    ) -> None:
        self.name = name
        self.log = log
        self.grace_seconds = grace_seconds
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARDIAN), str(grace_seconds), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,  # only the owner handles Ctrl-C
            )
        if self._guardian.stdout is None or self._guardian.stdin is None:
            raise AssertionError
        self._stdin = self._guardian.stdin
        self._stdout = self._guardian.stdout
        first = self._stdout.readline()
        if not first:
            self.stop()
            raise RuntimeError(f"{name} could not be started: {command[0]}\n{self.tail()}")
        self.pid = int(first)
        """Process id of the command itself."""
        os.set_blocking(self._stdout.fileno(), False)
        self._status: int | None = None

    @property
    def status(self) -> int | None:
        """Exit status of the command (negative: the signal that ended it), None while it runs."""
        if self._status is None and (line := self._stdout.read()):
            self._status = int(line)
        return self._status

    def kill(self) -> None:
        """Kill the command alone, as the kernel does when memory runs out. Its children live on."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def tail(self, lines: int = 30) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def ask_to_stop(self) -> None:
        """Begin to stop without waiting, so that several processes stop in parallel."""
        self._stdin.close()

    def stop(self) -> None:
        """End the command and all its descendants. None is left when this returns."""
        self.ask_to_stop()
        try:
            self._guardian.wait(self.grace_seconds + KILL_SECONDS)
        finally:
            self._guardian.kill()
            self._guardian.wait()
            self._stdout.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
