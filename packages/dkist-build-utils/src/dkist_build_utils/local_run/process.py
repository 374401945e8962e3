"""The process of one attempt in the current environment: its command, its variables, its output, its end."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dkist_build_utils.errors import JournalError
from dkist_build_utils.local_run.ending import Ending, ending_of, read_outcome
from dkist_build_utils.local_run.log import AttemptLog
from dkist_task.outcome import OUTCOME_NOT_WRITTEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dkist_build_utils.local_run.guard import Guard

BLOCK_BYTES = 65_536
PIPE_BYTES = 1 << 20
"""No pipe holds more than this when the process at its other end has ended."""
NAME_LENGTH = 200
"""Characters of a task's name in the names of its files: a file system takes 255 with what comes after it."""


@dataclass(frozen=True)
class AttemptFiles:
    """Where an attempt leaves what is known of it."""

    log: Path
    """What it writes."""
    outcome: Path
    """How the launcher says it ended."""
    stop: Path
    """Why the command asked for its end."""

    @classmethod
    def of(cls, folder: Path, task: str, try_number: int) -> AttemptFiles:
        """Return the files of an attempt in a run folder."""
        name = f"{_short(task)}-{try_number}"
        outcomes = folder / "outcomes"
        return cls(folder / "logs" / f"{name}.log", outcomes / f"{name}.json", outcomes / f"{name}-stop.json")


def _short(task: str) -> str:
    """Return a task's name for the names of files: whole, or its beginning and a digest where it is too long."""
    if len(task) <= NAME_LENGTH:
        return task
    return f"{task[: NAME_LENGTH - 17]}-{hashlib.sha256(task.encode()).hexdigest()[:16]}"


class AttemptProcess:
    """A process that runs one attempt by the launcher of this environment.

    Parameters
    ----------
    guard : Guard
        What starts it.
    key : str
        What names it to the guard.
    files : AttemptFiles
        Where it leaves what is known of it.
    variables : mapping
        Its variables besides those that every process of the guard gets.
    """

    def __init__(self, guard: Guard, key: str, files: AttemptFiles, variables: Mapping[str, str]) -> None:
        self.guard = guard
        self.key = key
        self.files = files
        self.stopped: tuple[str, str] | None = None
        """Why its end was asked for (``timeout`` or ``cancellation``), and in which words."""
        with suppress(OSError):
            files.outcome.unlink(missing_ok=True)  # left by an attempt whose line a power cut took
        self.log = AttemptLog(files.log)
        self.readers: dict[int, Callable[[], bool]] = {}
        """What to call when a descriptor can be read; it returns whether there may be more."""
        self._start({**variables, "DKIST_OUTCOME_FILE": str(files.outcome), "DKIST_STOP_FILE": str(files.stop)})

    def _start(self, variables: Mapping[str, str]) -> None:
        command = [sys.executable, "-P", "-u", "-m", "dkist_task", "run"]
        pipe, inlet = self._new_pipe()
        self.readers[pipe] = lambda: self._read_log(pipe)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.guard.start(self.key, command, variables, (nothing, inlet, inlet))
        finally:
            os.close(nothing)
            os.close(inlet)

    def stop(self, kind: str, text: str) -> None:
        """Ask for its end; the first who does gives the reason."""
        if self.stopped is None:
            self.stopped = (kind, text)
            self._send_stop(kind, text)

    def _send_stop(self, kind: str, text: str) -> None:
        with suppress(OSError):  # then the log says SIGTERM without the reason
            self.files.stop.write_text(json.dumps({"stop": kind, "text": text}))
        self.guard.stop(self.key)

    def finish(self, status: int) -> Ending:
        """Take what is left of its output and return how it ended; what it left behind is ended.

        Raises
        ------
        JournalError
            The launcher could not write how it ended.
        """
        if self.drain():
            self.guard.stop(self.key)  # something still has the pipe open
        outcome, last_line = self.outcome(), self.log.last_line
        _, is_lost, why = last_line.partition(OUTCOME_NOT_WRITTEN)
        if is_lost and not outcome:
            raise JournalError(
                f"{self.files.outcome.stem} ended, but its outcome cannot be written: {why}; free disk space, then run "
                "the same command again: what is in the journal is not lost"
            )
        return ending_of(status, outcome, self.stopped, last_line)

    def outcome(self) -> dict[str, Any]:
        """Return what is known of the end besides the status."""
        return read_outcome(self.files.outcome)

    def drain(self) -> bool:
        """Read what was written before the end and close everything; return whether a pipe is open elsewhere."""
        is_open_elsewhere = False
        for descriptor, read in list(self.readers.items()):
            for _ in range(PIPE_BYTES // BLOCK_BYTES):
                if not read():
                    break
            is_open_elsewhere |= descriptor in self.readers
        self.close()
        return is_open_elsewhere

    def close(self) -> None:
        """Close the log and every pipe."""
        for descriptor in list(self.readers):
            self._close_reader(descriptor)
        self.log.close()

    @staticmethod
    def _new_pipe() -> tuple[int, int]:
        pipe, inlet = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(pipe, False)
        return pipe, inlet

    def _read_log(self, descriptor: int) -> bool:
        block = self._read(descriptor)
        self.log.feed(block)
        return bool(block)

    def _read(self, descriptor: int) -> bytes:
        """Return what can be read at once; at the end of the pipe close it."""
        try:
            block = os.read(descriptor, BLOCK_BYTES)
        except BlockingIOError:
            return b""
        if not block:
            self._close_reader(descriptor)
        return block

    def _close_reader(self, descriptor: int) -> None:
        del self.readers[descriptor]
        os.close(descriptor)
