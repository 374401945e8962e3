"""Spans, metrics and log records of a task, and where they go.

Nothing here imports the OpenTelemetry SDK until something is asked for.
"""

from __future__ import annotations

from dkist_task.telemetry.log_format import is_json, json_line, shortened
from dkist_task.telemetry.metrics import Usage, peak_memory
from dkist_task.telemetry.run import TaskRun, task_run
from dkist_task.telemetry.setup import (
    Telemetry,
    carrier_of,
    parent_context,
    refuse_missing_providers,
    start_child_telemetry,
    start_telemetry,
)
from dkist_task.telemetry.span import TRACER_NAME, open_span, run_context
from dkist_task.telemetry.task_log import TaskLog, flush_streams

__all__ = [
    "TRACER_NAME",
    "TaskLog",
    "TaskRun",
    "Telemetry",
    "Usage",
    "carrier_of",
    "flush_streams",
    "is_json",
    "json_line",
    "open_span",
    "parent_context",
    "peak_memory",
    "refuse_missing_providers",
    "run_context",
    "shortened",
    "start_child_telemetry",
    "start_telemetry",
    "task_run",
]
