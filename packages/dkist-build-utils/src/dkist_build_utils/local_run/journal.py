"""The journal of a run folder: what was done, kept so that no kind of death loses a line of it."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from dkist_build_utils.__about__ import __version__
from dkist_build_utils.errors import JournalError
from dkist_build_utils.local_run.attempt import Attempt

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dkist_build_utils.local_run.attempt import Fingerprint

_LOGGER = logging.getLogger(__name__)

JOURNAL_NAME = "run.jsonl"
FORMAT = 1
"""Raised when a reader of the format before would misread a journal."""


@dataclass(frozen=True)
class RunIdentity:
    """What a run folder belongs to."""

    workflow: str
    """Name of the workflow."""
    recipe_run_id: int
    """The recipe run."""


@dataclass
class Record:
    """What a journal says, brought up to date with each line."""

    last: dict[str, Attempt] = field(default_factory=dict)
    """The last attempt at each task."""
    places: dict[str, int] = field(default_factory=dict)
    """The number of the line of that attempt: of two tasks, the greater ended later."""
    tries: dict[str, int] = field(default_factory=dict)
    """How often each task was begun."""
    begun: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The line of the last beginning of each task."""
    asked: set[str] = field(default_factory=set)
    """Tasks that somebody asked to run again, and that have not been tried since."""

    def is_interrupted(self, task: str) -> bool:
        """Return whether a task began and nothing says how that ended: its command or the machine died."""
        last = self.last.get(task)
        return self.tries.get(task, 0) > (last.try_number if last else 0)

    def add(self, number: int, entry: dict[str, Any]) -> None:
        """Take a line that is not the first."""
        if "again" in entry:
            self.asked.update(entry["again"])
        elif "begun" in entry:
            self.tries[entry["begun"]] = entry["try_number"]
            self.begun[entry["begun"]] = entry
        elif "task" in entry:
            attempt = Attempt.from_entry(entry)
            self.last[attempt.task] = attempt
            self.places[attempt.task] = number
            self.tries[attempt.task] = attempt.try_number
            self.asked.discard(attempt.task)


class Journal:
    """The journal of a run folder, held against every other command for as long as it is open.

    Parameters
    ----------
    folder : Path
        The run folder; made where it is missing.
    identity : RunIdentity
        What the folder has to belong to.

    Raises
    ------
    JournalError
        Another command holds the folder, it belongs to another run or cannot be written to, or the journal cannot be
        read.
    """

    def __init__(self, folder: Path, identity: RunIdentity) -> None:
        self.path = folder / JOURNAL_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            self._take_lock(folder)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except BaseException:
            os.close(self._lock)
            raise
        try:
            self.record, self._lines = Record(), 0
            self._read(identity)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other commands use the folder."""
        os.close(self._file)
        os.close(self._lock)

    def append(self, attempts: Iterable[Attempt]) -> None:
        """Write attempts to the disk, all or none of them.

        Raises
        ------
        JournalError
            They cannot be written; the journal is as it was.
        """
        self._append([attempt.to_entry() for attempt in attempts])

    def begin(self, task: str, try_number: int, fingerprint: Fingerprint) -> None:
        """Write that an attempt begins; without a line of its end it was interrupted. Nothing waits for the disk."""
        started = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        entry = {"begun": task, "try_number": try_number, "started": started, "fingerprint": asdict(fingerprint)}
        self._append([entry], is_flushed=False)

    def ask_again(self, tasks: Iterable[str]) -> None:
        """Write to the disk that tasks are to run again, whatever they did so far."""
        self._append([{"again": sorted(tasks), "time": datetime.now(UTC).isoformat(timespec="milliseconds")}])

    def _take_lock(self, folder: Path) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 40, 0).decode("ascii", "replace").strip()
            raise JournalError(
                f"{folder} is in use by another dkist-build run (process {holder or 'unknown'}); wait for its end, "
                "or choose another --folder"
            ) from None
        os.ftruncate(self._lock, 0)
        try:
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise _unwritable(folder, error) from error

    def _read(self, identity: RunIdentity) -> None:
        content = self.path.read_bytes()
        *lines, rest = content.split(b"\n")
        if rest and _entry(rest) is not None:  # whole but for its newline
            lines.append(rest)
            self._write(b"\n")
        elif rest:  # half of it was written when the machine or the command died: its task runs again
            os.ftruncate(self._file, len(content) - len(rest))
            _LOGGER.warning(
                "%s was cut off in line %d; that line is removed, the others count", self.path, len(lines) + 1
            )
        if not lines:
            header = {"journal": FORMAT, "made_with": __version__, **vars(identity)}
            self._append([{**header, "time": datetime.now(UTC).isoformat(timespec="milliseconds")}])
            return
        self._check_header(_entry(lines[0]), identity)
        for number, line in enumerate(lines[1:], start=2):
            try:
                self.record.add(number, json.loads(line))
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise JournalError(
                    f"{self.path}: line {number} is not a line of a journal; remove that line, or choose another "
                    "--folder"
                ) from error
        self._lines = len(lines)

    def _check_header(self, header: dict[str, Any] | None, identity: RunIdentity) -> None:
        if header is None or not isinstance(header.get("journal"), int):
            raise JournalError(f"{self.path} is not the journal of a run; choose another --folder")
        if header["journal"] > FORMAT:
            raise JournalError(
                f"{self.path} was written by dkist-build-utils {header.get('made_with')}, which is newer than this "
                f"{__version__}; install that version, or choose another --folder"
            )
        found = RunIdentity(str(header.get("workflow")), header.get("recipe_run_id", 0))
        if found != identity:
            raise JournalError(
                f"{self.path.parent} holds recipe run {found.recipe_run_id} of workflow {found.workflow!r}, not "
                f"{identity.recipe_run_id} of {identity.workflow!r}; choose another --folder"
            )

    def _append(self, entries: list[dict[str, Any]], *, is_flushed: bool = True) -> None:
        self._write(b"".join(json.dumps(entry).encode() + b"\n" for entry in entries), is_flushed=is_flushed)
        for entry in entries:
            self._lines += 1
            self.record.add(self._lines, entry)

    def _write(self, lines: bytes, *, is_flushed: bool = True) -> None:
        """Write lines; where that fails, take back what was written of them."""
        size = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, lines)
            if written < len(lines):
                os.write(self._file, lines[written:])  # says why there was no room
            if is_flushed:
                os.fdatasync(self._file)
        except OSError as error:
            os.ftruncate(self._file, size)
            raise JournalError(
                f"{self.path} cannot be written: {error.strerror}; free disk space, then run the same command again: "
                "what is in the journal is not lost"
            ) from error


def _unwritable(folder: Path, error: OSError) -> JournalError:
    """Return the error for a run folder in which no file can be made."""
    way_out = "free disk space, or choose" if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} else "choose"
    return JournalError(f"the run folder {folder} cannot be written to: {error.strerror}; {way_out} another --folder")


def _entry(line: bytes) -> dict[str, Any] | None:
    """Return what a line holds, None where it is not a JSON object."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def read_record(folder: Path, identity: RunIdentity) -> Record:
    """Return what the journal of a folder says; an empty record where there is none.

    Raises
    ------
    JournalError
        The folder belongs to another run, or its journal cannot be read.
    """
    if not (folder / JOURNAL_NAME).exists():
        return Record()
    with Journal(folder, identity) as journal:
        return journal.record
