"""How an attempt ended, from the status of its process and the outcome that it wrote."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

RESULTS = ("success", "skip", "failure", "timeout", "cancellation", "error")
UNUSABLE_REQUEST = 2
"""Exit status of the launcher and of the runner where trying again cannot help."""


@dataclass(frozen=True)
class Ending:
    """How an attempt ended."""

    result: str
    """One of `RESULTS`."""
    reason: str | None = None
    """In one text why."""
    error_type: str | None = None
    """Class of the task's own error."""
    error: str | None = None
    """Text of the task's own error."""
    exit_status: int | None = None
    """None where a signal ended the process."""
    signal: str | None = None
    """The signal that did."""
    can_retry: bool = True
    """False where trying again cannot help."""
    peak_memory_bytes: int | None = None
    """Peak memory in the outcome; None where it has none."""
    cpu_seconds: float | None = None
    """CPU seconds in the outcome; None where it has none."""


def read_outcome(path: Path) -> dict[str, Any]:
    """Return what an outcome file says; nothing where it is missing or unreadable."""
    try:
        outcome = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return outcome if isinstance(outcome, dict) else {}


def ending_of(status: int, outcome: dict[str, Any], stop: tuple[str, str] | None, last_line: str) -> Ending:
    """Return how an attempt ended.

    Parameters
    ----------
    status : int
        As ``wait`` gives it.
    outcome : mapping
        What the launcher or the runner wrote; empty where it could not.
    stop : tuple of str
        Why the command asked for the end (``timeout`` or ``cancellation``) and in which words; None where it did not.
    last_line : str
        The last line of the log, for where nothing else says why.
    """
    code = os.waitstatus_to_exitcode(status)
    reported = _reported(outcome)
    known = replace(reported, exit_status=code) if code >= 0 else replace(reported, signal=_signal_name(-code))
    if code == 0 and reported.result in {"success", "skip"}:
        return known
    if stop is not None:
        return replace(known, result=stop[0], reason=stop[1])
    if code == UNUSABLE_REQUEST:
        return replace(known, result="error", reason=reported.reason or last_line, can_retry=False)
    if code != 0 and reported.result in {"failure", "timeout", "error"}:
        return replace(known, reason=reported.reason or _text_of_error(reported) or last_line)
    return replace(known, result="failure", reason=_diagnosis(code, last_line))


def _reported(outcome: dict[str, Any]) -> Ending:
    """Return what an outcome says; a member of a wrong type is left out."""

    def text(name: str) -> str | None:
        value = outcome.get(name)
        return value if isinstance(value, str) and value else None

    def number(name: str) -> Any:
        value = outcome.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    result = text("result")
    return Ending(
        result=result if result in RESULTS else "",
        reason=text("reason"),
        error_type=text("error_type"),
        error=text("error"),
        can_retry=outcome.get("can_retry") is not False,
        peak_memory_bytes=number("peak_memory_bytes"),
        cpu_seconds=number("cpu_seconds"),
    )


def _text_of_error(reported: Ending) -> str | None:
    """Return ``Type: text`` of the task's own error."""
    if reported.error_type is None:
        return None
    return f"{reported.error_type.rpartition('.')[2]}: {reported.error}" if reported.error else reported.error_type


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _diagnosis(code: int, last_line: str) -> str:
    """Return what is known of an end that the launcher did not report."""
    if code == 0:
        return "the task's process ended without saying how (os._exit or exit(0) in native code?)"
    if code > 0:
        return last_line or f"exit status {code}"
    hint = "; it is what the kernel sends where memory runs out" if -code == signal.SIGKILL else ""
    return f"its process was ended by {_signal_name(-code)}{hint}"
