"""Spans that tasks left in the folder of ``DKIST_SPAN_FOLDER``: OTLP/JSON, one request a line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dkist_build_utils.errors import SpansError

if TYPE_CHECKING:
    from pathlib import Path

ERROR = 2
"""OTLP's status code of a span that failed."""
_LATEST = 253402300800
"""The end of the year 9999, the last that `datetime` knows, in seconds since the epoch."""


@dataclass(frozen=True)
class Span:
    """One piece of work, from its beginning to its end."""

    trace_id: str
    """The trace that it is part of."""
    span_id: str
    """Its id in the trace."""
    parent_id: str
    """The id of the span that it is part of; empty for none."""
    name: str
    """Its name."""
    start: float
    """When it began, in seconds since the epoch."""
    end: float
    """When it ended, in seconds since the epoch."""
    is_failed: bool
    """Whether it failed."""
    message: str
    """Why it failed; empty if unknown."""
    attributes: tuple[tuple[str, str], ...]
    """Its attributes, as text."""
    file: str
    """The name of the file that it was read from."""

    def attribute(self, name: str) -> str:
        """Return an attribute; empty if there is none of this name."""
        return dict(self.attributes).get(name, "")


@dataclass(frozen=True)
class SpanFolder:
    """The spans in the files of a folder."""

    spans: tuple[Span, ...]
    """All spans, in the order in which they began."""
    skipped_lines: int
    """Lines that hold no spans: a killed task may have left half of one."""


def read_spans(folder: Path) -> SpanFolder:
    """Return the spans of every file in a folder.

    Parameters
    ----------
    folder : Path
        The folder that ``DKIST_SPAN_FOLDER`` named when the tasks ran.

    Raises
    ------
    SpansError
        There is no span in the folder.
    """
    if not folder.is_dir():
        raise SpansError(f"{folder} is not a folder; give the one that DKIST_SPAN_FOLDER named when the tasks ran")
    found: dict[tuple[str, str], Span] = {}
    skipped = 0
    for path in sorted(path for path in folder.rglob("*.json*") if path.is_file()):
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in filter(str.strip, lines):
                spans = _spans_of(line, path.name)
                skipped += spans is None
                found.update({(span.trace_id, span.span_id): span for span in spans or ()})
    if not found:
        raise SpansError(f"{folder} holds no spans; set DKIST_SPAN_FOLDER to it for the tasks of a run, then try again")
    return SpanFolder(tuple(sorted(found.values(), key=lambda span: (span.start, -span.end, span.span_id))), skipped)


def _spans_of(line: str, file: str) -> list[Span] | None:
    """Return the spans of a line; None if it is not a request with spans."""
    try:
        return [
            _span(message, file)
            for resource in json.loads(line)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for message in scope["spans"]
        ]
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        return None


def _span(message: dict[str, Any], file: str) -> Span:
    """Return the span of an OTLP/JSON message; ValueError if its times are not those of a clock."""
    status = message.get("status", {})
    start, end = (int(message[name]) / 1e9 for name in ("startTimeUnixNano", "endTimeUnixNano"))
    if not 0 <= start <= end < _LATEST:
        raise ValueError(f"a span cannot last from {start} to {end}")
    return Span(
        trace_id=str(message["traceId"]).lower(),
        span_id=str(message["spanId"]).lower(),
        parent_id=str(message.get("parentSpanId", "")).lower(),
        name=str(message["name"]),
        start=start,
        end=end,
        is_failed=status.get("code") in {ERROR, "STATUS_CODE_ERROR"},
        message=str(status.get("message", "")),
        attributes=tuple((str(item["key"]), _text(item["value"])) for item in message.get("attributes", ())),
        file=file,
    )


def _text(value: dict[str, Any]) -> str:
    """Return the value of an attribute as text."""
    return ", ".join(str(item) for item in value.values())
