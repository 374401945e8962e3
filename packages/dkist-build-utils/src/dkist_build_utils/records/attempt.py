"""One attempt as its record says it, whatever version of `dkist-task` wrote that and however the attempt ended."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMAT = 1
"""The newest format of records that is understood; a newer one may mean other things."""

NO_END_REPORTED = "never reported an end"
"""The outcome of an attempt whose end nobody recorded."""

DONE_RESULTS = ("success", "skip")


@dataclass(frozen=True)
class Declaration:
    """What a task said of one input or output."""

    direction: str
    """``used`` or ``generated``."""
    uri: str
    """What it is; of a file its ``file:`` URI."""
    kind: str = ""
    """``file``, ``folder``, ``other``, ``missing`` or ``uri``."""
    time: str = ""
    """When it was declared, ISO 8601, UTC."""
    size: int | None = None
    """Bytes of the file."""
    modified_ns: int | None = None
    """Time of the file, in nanoseconds since the epoch."""
    sha256: str | None = None
    """Digest of the file, where the task asked for it."""


@dataclass(frozen=True)
class RecordedAttempt:
    """What is known of one attempt at one task."""

    file: str
    """Name of its file."""
    task: str
    """Name of the task in the workflow."""
    workflow: str
    """Name of the workflow."""
    workflow_version: str
    """Version of the workflow, which is that of the release."""
    recipe_run_id: int
    """The recipe run."""
    started: str
    """When it began, ISO 8601, UTC."""
    action: str = "run"
    """``run`` or ``rollback``."""
    try_number: int | None = None
    """What the engine counts, None where none does."""
    entry_point: str = ""
    """``MODULE:CLASS``."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The parameters of the run."""
    distribution: str = ""
    """Name and version of the distribution that holds the task."""
    distributions: Mapping[str, str] = field(default_factory=dict)
    """Versions of all that was installed, by name."""
    lock: str = ""
    """Path of the lock that the environment was made from."""
    lock_sha256: str = ""
    """Its digest."""
    requirement: str = ""
    """What was installed where there was no lock."""
    python: str = ""
    """Version of Python."""
    host: str = ""
    """Name of the host."""
    system: str = ""
    """Kernel and machine type."""
    declarations: tuple[Declaration, ...] = ()
    """What the task declared, in order."""
    ended: str | None = None
    """When it ended, None where nothing says so."""
    result: str | None = None
    """``success``, ``skip``, ``failure``, ``timeout``, ``cancellation``, ``error``, None where nothing says how."""
    reason: str | None = None
    """In one text why it ended as it did."""
    peak_memory_bytes: int | None = None
    """The most memory that it had."""
    cpu_seconds: float | None = None
    """Processor time that it took."""
    skipped_lines: int = 0
    """Lines that cannot be read: half a line that had no room, or somebody's edit."""

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        return self.result or NO_END_REPORTED

    @property
    def is_done(self) -> bool:
        """Whether nothing went wrong."""
        return self.result in DONE_RESULTS

    @property
    def last_moment(self) -> str:
        """The last time that is known of it."""
        return max(filter(None, (self.started, self.ended, *(each.time for each in self.declarations))))


def attempt_from_lines(file: str, lines: Iterable[bytes]) -> RecordedAttempt | None:
    """Return the attempt that the lines of a file describe; None where the first line is not that of a record.

    Members that are missing, that a later version added or that have another form are passed over.
    """
    objects = [_object(line) for line in lines if line.strip()]
    start = objects[0] if objects else None
    if start is None or not isinstance(start.get("record"), int) or start["record"] > FORMAT:
        return None
    required = [_text(start, name) for name in ("task", "workflow", "workflow_version", "started")]
    recipe_run_id = _number(start, "recipe_run_id")
    if not all(required) or recipe_run_id is None:
        return None
    task, workflow, workflow_version, started = required
    declarations: list[Declaration] = []
    end: Mapping[str, Any] = {}
    for each in objects[1:]:
        if each is None:
            continue
        if "declared" in each:
            declarations += _declarations(each)
        elif "ended" in each:
            end = each
    tried = _number(start, "try_number")
    peak, cpu = _number(end, "peak_memory_bytes"), _number(end, "cpu_seconds")
    return RecordedAttempt(
        file=file,
        task=task,
        workflow=workflow,
        workflow_version=workflow_version,
        recipe_run_id=int(recipe_run_id),
        started=started,
        action=_text(start, "action") or "run",
        try_number=None if tried is None else int(tried),
        entry_point=_text(start, "entry_point"),
        parameters=_plain(start, "parameters", (str, int, float)),
        distribution=_text(start, "distribution"),
        distributions=_plain(start, "distributions", (str,)),
        lock=_text(start, "lock"),
        lock_sha256=_text(start, "lock_sha256"),
        requirement=_text(start, "requirement"),
        python=_text(start, "python"),
        host=_text(start, "host"),
        system=_text(start, "system"),
        declarations=tuple(declarations),
        ended=_text(end, "ended") or None,
        result=_text(end, "result") or None,
        reason=_text(end, "reason") or None,
        peak_memory_bytes=None if peak is None else int(peak),
        cpu_seconds=cpu,
        skipped_lines=objects.count(None),
    )


def clean(text: str) -> str:
    """Return a text that every encoding and every XML parser accepts."""
    plain = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in plain)


def _declarations(line: Mapping[str, Any]) -> list[Declaration]:
    """Return the declaration of a line, none where it has no URI or another direction than is known."""
    direction, uri = _text(line, "declared"), _text(line, "uri")
    if direction not in {"used", "generated"} or not uri:
        return []
    size, modified = _number(line, "size"), _number(line, "modified_ns")
    return [
        Declaration(
            direction,
            uri,
            kind=_text(line, "kind"),
            time=_text(line, "time"),
            size=None if size is None else int(size),
            modified_ns=None if modified is None else int(modified),
            sha256=_text(line, "sha256") or None,
        )
    ]


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return clean(value) if isinstance(value, str) else ""


def _number(members: Mapping[str, Any], name: str) -> Any:
    value = members.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
    return value if is_number else None


def _plain(members: Mapping[str, Any], name: str, kinds: tuple[type, ...]) -> dict[str, Any]:
    """Return a member that is an object, with the values that are of the kinds."""
    value = members.get(name)
    found = value if isinstance(value, dict) else {}
    return {
        clean(key): clean(each) if isinstance(each, str) else each
        for key, each in found.items()
        if isinstance(each, kinds)
    }
