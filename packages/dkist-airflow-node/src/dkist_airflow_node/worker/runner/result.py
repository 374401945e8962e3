"""The result: what the operator reports to Airflow."""

from __future__ import annotations

import os

from .log import MAXIMUM_LINE_BYTES
from .memory import size_text
from .plain_json import render_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resource import struct_rusage
    from typing import Any

    from .supervisor import Supervisor


def result_of(**members: Any) -> dict[str, Any]:
    """Return a result with all its members."""
    return {
        "result": "error",
        "error_type": None,
        "error": None,
        "reason": "",
        "can_retry": True,
        "exit_status": None,
        "signal": None,
        "is_out_of_memory": False,
        "peak_memory_bytes": None,
        "cpu_seconds": None,
        **members,
    }


def members_of_outcome(outcome: dict[str, Any], usage: struct_rusage | None) -> dict[str, Any]:
    """Return what the launcher said of errors and use; the kernel's numbers where it did not."""
    peak = usage.ru_maxrss * 1024 if usage else None
    cpu_seconds = usage.ru_utime + usage.ru_stime if usage else None
    return {
        "error_type": text_or_none(outcome.get("error_type")),
        "error": text_or_none(outcome.get("error")),
        "reason": text_or_none(outcome.get("reason")) or "",
        "peak_memory_bytes": number_or_none(outcome.get("peak_memory_bytes")) or peak,
        "cpu_seconds": number_or_none(outcome.get("cpu_seconds")) or cpu_seconds,
    }


def text_or_none(value: Any) -> str | None:
    """Return a member of the outcome as text of bounded length."""
    return None if value is None else str(value)[:4000]


def number_or_none(value: Any) -> float | None:
    """Return a member of the outcome as a number, nothing where it is another value: a task may have written it."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and 0 <= value < 1e18 else None


def end_text(result: dict[str, Any]) -> str:
    """Return how the task ended and what it used, for the log."""
    used = [f"{result['seconds']:.1f} s"]
    if result["peak_memory_bytes"]:
        used.append(f"peak memory {size_text(result['peak_memory_bytes'])}")
    if result["cpu_seconds"]:
        used.append(f"CPU {result['cpu_seconds']:.1f} s")
    reason = f": {result['reason']}" if result["reason"] else ""
    return f"{result['result']}{reason} ({', '.join(used)})"


def exit_status_of(result: dict[str, Any]) -> int:
    """Return the runner's exit status."""
    if result["result"] in {"success", "skip"}:
        return 0
    return 1 if result["can_retry"] else 2


def write_result(result: dict[str, Any], supervisor: Supervisor) -> None:
    """Write the result, and close what the operator reads: only what the task left behind is still to be ended."""
    null = os.open(os.devnull, os.O_WRONLY)
    line = render_json(result)
    if len(line) >= MAXIMUM_LINE_BYTES:  # an emoji takes twelve bytes
        line = render_json({name: value[:1500] if isinstance(value, str) else value for name, value in result.items()})
    try:
        os.write(2, line.encode() + b"\n")
    except OSError:
        os.dup2(null, 2)  # nobody is there to read it
    supervisor.output.is_open, supervisor.output.waiting = False, b""
    os.dup2(null, 1)
    os.dup2(null, 2)
