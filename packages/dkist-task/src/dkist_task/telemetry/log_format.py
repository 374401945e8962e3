"""The forms of a log record: plain lines, JSON lines, and records that an operator of an exported DAG reads."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD_SEPARATOR = "\x1e"
"""What a record starts with, as in RFC 7464 (JSON text sequences)."""

RECORD_BYTES = 60_000
"""Longest record: the runner cuts lines of 64 KiB."""


def formatter_of(environment: Mapping[str, str]) -> logging.Formatter:
    """Return the formatter that ``DKIST_LOG_FORMAT`` names; plain lines where it names none."""
    form = environment.get("DKIST_LOG_FORMAT", "").strip().lower()
    if form == "json":
        return JsonFormatter()
    if form == "records":
        return RecordFormatter()
    return logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


def is_json(environment: Mapping[str, str]) -> bool:
    """Return whether every record is a JSON line."""
    return environment.get("DKIST_LOG_FORMAT", "").strip().lower() == "json"


class TelemetryComplaints(logging.Filter):
    """Let OpenTelemetry log each message once and in a line: a dead collector does not bury the task's own log."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: set[tuple[str, str]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether `record` is to be logged."""
        if not record.name.startswith("opentelemetry"):
            return True
        if record.exc_info:
            record.msg = f"{record.msg}: {record.exc_info[1]!r}"
            record.exc_info = record.exc_text = None
        complaint = (record.name, str(record.msg))
        is_new = complaint not in self._logged
        self._logged.add(complaint)
        return is_new


class JsonFormatter(logging.Formatter):
    """Write one JSON object a line, with the ids of the span that is current where the record is made."""

    def format(self, record: logging.LogRecord) -> str:
        """Return `record` as one line."""
        entry = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **span_ids(),
        }
        if exception := exception_text(self, record):
            entry["exception"] = exception
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return json_line(entry)


class RecordFormatter(logging.Formatter):
    """Write one record separator and one JSON object a line, of at most `RECORD_BYTES`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return `record` as one line; a message that is too long loses its middle."""
        parts = (record.getMessage(), exception_text(self, record), record.stack_info)
        message = "\n".join(part for part in parts if part)
        entry: dict[str, object] = {
            "level": record.levelname,
            "logger": record.name[:200],
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}+00:00",
            **span_ids(),
        }
        limit = RECORD_BYTES
        while True:
            line = RECORD_SEPARATOR + json_line({**entry, "message": shortened(message, limit)})
            if len(line.encode(errors="backslashreplace")) <= RECORD_BYTES:
                return line
            limit = limit * 3 // 4


def exception_text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Return the traceback of `record`, empty where it has none."""
    return record.exc_text or (formatter.formatException(record.exc_info) if record.exc_info else "")


def span_ids() -> dict[str, str]:
    """Return the ids of the current span; nothing where there is none."""
    span = trace.get_current_span().get_span_context()
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"} if span.is_valid else {}


def shortened(text: str, limit: int) -> str:
    """Return `text` with its middle cut out where it has more than `limit` characters."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}\n... {len(text) - limit} characters cut ...\n{text[-(limit - limit // 2) :]}"


def json_line(entry: Mapping[str, object]) -> str:
    """Return `entry` as JSON, whatever characters it holds."""
    import json

    line = json.dumps(entry, ensure_ascii=False, default=str)
    # Half a surrogate pair cannot be encoded, and a JSON reader would refuse Python's own spelling of it.
    return line if line.isascii() else line.encode(errors="replace").decode()
