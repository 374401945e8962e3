"""Spans as tasks leave them in `DKIST_SPAN_FOLDER`, read back: OTLP/JSON, one request a line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dkist_build_utils.errors import SpansError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ERROR = 2
"""OTLP's status code of a span that failed."""


@dataclass(frozen=True)
class Span:
    """A piece of work that ended."""

    trace_id: str
    """Which run it is part of."""
    span_id: str
    """Which piece of work it is."""
    parent_id: str
    """The piece of work that it is part of, empty for none."""
    name: str
    """What the work is called."""
    start: float
    """When it began, in seconds since the epoch."""
    end: float
    """When it ended, in seconds since the epoch."""
    is_failed: bool
    """Whether it failed."""
    message: str
    """Why it failed, empty where nobody said."""
    attributes: tuple[tuple[str, str], ...]
    """What else is known of it, as text."""
    file: str
    """Name of the file it was read from."""

    def attribute(self, name: str) -> str:
        """Return an attribute, empty where there is none of the name."""
        return dict(self.attributes).get(name, "")


def read_spans(folder: Path) -> tuple[Span, ...]:
    """Return the spans of every file in a folder, in the order of their beginnings.

    Lines that hold none are passed over: a task that was killed may have left half of one.

    Raises
    ------
    SpansError
        Where there is no span in the folder.
    """
    if not folder.is_dir():
        raise SpansError(f"{folder} is not a folder; name the one that DKIST_SPAN_FOLDER named when the tasks ran")
    files = sorted(path for path in folder.rglob("*.json*") if path.is_file())
    found = {(span.trace_id, span.span_id): span for path in files for span in _spans_of(path)}
    if not found:
        raise SpansError(f"{folder} holds no spans; set DKIST_SPAN_FOLDER to it for the tasks of a run, then try again")
    return tuple(sorted(found.values(), key=lambda span: (span.start, -span.end, span.span_id)))


def _spans_of(path: Path) -> Iterator[Span]:
    """Yield the spans of one file."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                yield from [
                    _span(message, path.name)
                    for resource in json.loads(line)["resourceSpans"]
                    for scope in resource["scopeSpans"]
                    for message in scope["spans"]
                ]
            except (ValueError, TypeError, LookupError, AttributeError):
                continue  # not what a span looks like


def _span(message: dict[str, Any], file: str) -> Span:
    """Return the span of an OTLP/JSON message."""
    status = message.get("status", {})
    return Span(
        trace_id=str(message["traceId"]).lower(),
        span_id=str(message["spanId"]).lower(),
        parent_id=str(message.get("parentSpanId", "")).lower(),
        name=str(message["name"]),
        start=int(message["startTimeUnixNano"]) / 1e9,
        end=int(message["endTimeUnixNano"]) / 1e9,
        is_failed=status.get("code") in {ERROR, "STATUS_CODE_ERROR"},
        message=str(status.get("message", "")),
        attributes=tuple((str(item["key"]), _text(item["value"])) for item in message.get("attributes", ())),
        file=file,
    )


def _text(value: dict[str, Any]) -> str:
    """Return an attribute's value as text."""
    return ", ".join(str(item) for item in value.values())
