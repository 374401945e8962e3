"""The log of a launched task: its opening block and the form of its lines."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING

from opentelemetry import trace

from dkist_task._distribution import distribution_at
from dkist_task._host import this_host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_task._request import Request


def configure_log(environment: Mapping[str, str]) -> None:
    """Let every line of `print` and `logging` reach the engine when it is made.

    Raises nothing: what ``DKIST_LOG_FORMAT`` says besides ``json`` means plain.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A character that the engine's encoding lacks must not fail the task that prints it.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    handler = logging.StreamHandler()
    if environment.get("DKIST_LOG_FORMAT", "").strip().lower() == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(capture=True)


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
        return json.dumps(entry, ensure_ascii=False, default=str)


def opening_block(request: Request) -> str:
    """Return the lines that open a task's log: what runs, where, on what."""
    host = this_host()
    identity = request.identity
    distribution = distribution_at(request.module_name)
    lines = {
        "task": f"{request.action} {request.module_name}:{request.class_name}",
        "workflow": f"{identity.workflow_name} {identity.workflow_version}, recipe run {identity.recipe_run_id}"
        + (f", try {identity.try_number}" if identity.try_number is not None else ""),
        "distribution": distribution or f"unknown: no installed distribution holds {request.module_name}",
        "host": f"{host.name} ({host.system})",
        "environment": sys.prefix,
        "python": f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})",
        "processors": f"{host.processors:g}",
        "memory": f"{host.memory / 2**30:.1f} GiB",
        "process": str(os.getpid()),
    }
    return "".join(f"{name + ':':14}{value}\n" for name, value in lines.items())
