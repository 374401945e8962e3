"""Spans, metrics and log records of a task, and where they go.

Nothing here imports the OpenTelemetry SDK until something is asked for.
"""

from __future__ import annotations

from dkist_task.telemetry.log_format import configure_log, is_json, json_line
from dkist_task.telemetry.metrics import Usage
from dkist_task.telemetry.run import TaskRun, task_run
from dkist_task.telemetry.setup import (
    Telemetry,
    carrier_of,
    parent_context,
    start_child_telemetry,
    start_telemetry,
)
from dkist_task.telemetry.span import TRACER_NAME, open_span, run_context

__all__ = [
    "TRACER_NAME",
    "TaskRun",
    "Telemetry",
    "Usage",
    "carrier_of",
    "configure_log",
    "is_json",
    "json_line",
    "open_span",
    "parent_context",
    "run_context",
    "start_child_telemetry",
    "start_telemetry",
    "task_run",
]
