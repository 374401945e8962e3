"""The form of a launched task's log."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Mapping


def configure_log(environment: Mapping[str, str]) -> None:
    """Let every line of `print` and `logging` reach the engine when it is made.

    ``DKIST_LOG_FORMAT=json`` makes records JSON; anything else means plain lines.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A character that the engine's encoding lacks must not fail the task that prints it.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    handler = logging.StreamHandler()
    handler.addFilter(TelemetryComplaints())
    if is_json(environment):
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(capture=True)


def is_json(environment: Mapping[str, str]) -> bool:
    """Tell whether records are to be JSON."""
    return environment.get("DKIST_LOG_FORMAT", "").strip().lower() == "json"


class TelemetryComplaints(logging.Filter):
    """Lets OpenTelemetry say each thing once and in a line: a dead collector is no reason to bury a task's own log."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[tuple[str, str]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether `record` is to be logged."""
        if not record.name.startswith("opentelemetry"):
            return True
        if record.exc_info:
            record.msg = f"{record.msg}: {record.exc_info[1]!r}"
            record.exc_info = record.exc_text = None
        complaint = (record.name, str(record.msg))
        is_new = complaint not in self._said
        self._said.add(complaint)
        return is_new


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the ids of the span that is current where the record is made."""

    def format(self, record: logging.LogRecord) -> str:
        """Return `record` as one line."""
        entry = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            entry |= {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return json_line(entry)


def json_line(entry: Mapping[str, object]) -> str:
    """Return `entry` as JSON."""
    import json

    return json.dumps(entry, ensure_ascii=False, default=str)
