"""What the journal of a local run knows of the ends of attempts: it outlives those that were killed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dkist_build_utils.records.attempt import RecordedAttempt

JOURNAL_NAME = "run.jsonl"


@dataclass(frozen=True)
class RunJournal:
    """What a journal says, read without taking its lock: a run may go on."""

    made_with: str
    """Version of `dkist-build-utils` that began it."""
    ends: Mapping[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)
    """The line of each attempt that ended, by task and try."""

    def completed(self, attempt: RecordedAttempt) -> RecordedAttempt:
        """Return an attempt with the end that the journal knows, if its own record has none."""
        end = self.ends.get((attempt.task, attempt.try_number or 0))
        if attempt.result is not None or attempt.action != "run" or end is None:
            return attempt
        return replace(
            attempt,
            result=_of_kind(end, "result", str),
            reason=_of_kind(end, "reason", str),
            ended=_end_of(end),
            peak_memory_bytes=_of_kind(end, "peak_memory_bytes", int),
            cpu_seconds=_of_kind(end, "cpu_seconds", int, float),
        )


def read_journal(folder: Path) -> RunJournal | None:
    """Return what the journal in a run folder says; None where there is none. Lines that are none are passed over."""
    try:
        lines = (folder / JOURNAL_NAME).read_bytes().splitlines()
    except OSError:
        return None
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    objects = [entry for entry in entries if isinstance(entry, dict)]
    if not objects or "journal" not in objects[0]:
        return None
    ends = {
        (entry["task"], entry["try_number"]): entry
        for entry in objects
        if isinstance(entry.get("task"), str) and isinstance(entry.get("try_number"), int)
    }
    return RunJournal(str(objects[0].get("made_with", "")), ends)


def _of_kind(members: Mapping[str, Any], name: str, *kinds: type) -> Any:
    value = members.get(name)
    return value if isinstance(value, kinds) and not isinstance(value, bool) else None


def _end_of(end: Mapping[str, Any]) -> str | None:
    """Return when an attempt ended, in the form of the records."""
    try:
        moment = datetime.fromisoformat(end["started"]) + timedelta(seconds=end["seconds"])
    except (LookupError, TypeError, ValueError, OverflowError):
        return None
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
