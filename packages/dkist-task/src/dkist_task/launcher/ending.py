"""How a launched task ended, as text for people and as the outcome file for the runner.

The outcome file (``DKIST_OUTCOME_FILE``) is a JSON object: ``result``, ``error_type``, ``error``, ``traceback``,
``reason``, ``peak_memory_bytes``, ``cpu_seconds``, ``action``. A member that does not apply is null.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from dkist_task.errors import RequestError
from dkist_task.outcome import TaskSkipped, TaskTerminated, qualified_name
from dkist_task.telemetry import peak_memory, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType
    from typing import Any

    from dkist_task.outcome import Outcome

ERROR_CHARACTERS = 4_000
"""Longest text of an error in the outcome file."""

TRACEBACK_CHARACTERS = 40_000
"""Longest traceback in log and outcome file."""

PACKAGE_FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
"""Where the frames lie that a task's author need not see."""


class Ending(NamedTuple):
    """How a launched task ended."""

    outcome: Outcome
    """The result, the type of the error and the exit status."""

    error: BaseException | None = None
    """The exception that ended the task."""

    stop_text: str = ""
    """Why somebody stopped the task, where that is known."""

    traceback: str | None = None
    """The frames of the task at its error."""

    @property
    def error_text(self) -> str | None:
        """The text of the error."""
        if self.error is None or self.outcome.is_success or isinstance(self.error, TaskTerminated):
            return None
        if isinstance(self.error, SystemExit):
            if self.error.code in (None, 0):
                return "exited with 0 before run was entered"
            return shortened(f"exited with {safe_text(self.error.code, repr)}", ERROR_CHARACTERS)
        return shortened(safe_text(self.error), ERROR_CHARACTERS)

    @property
    def reason(self) -> str | None:
        """One text for a person that says how the task ended."""
        if isinstance(self.error, TaskSkipped) and self.outcome.result == "skip":
            return shortened(safe_text(self.error.reason), ERROR_CHARACTERS)
        if self.stop_text:
            return self.stop_text
        if isinstance(self.error, RequestError) and self.outcome.result == "error":
            return self.error_text
        if self.error_text is None:
            return None if self.outcome.is_success else "SIGTERM"
        if isinstance(self.error, SystemExit):
            return self.error_text
        name = (self.outcome.error_type or "").rpartition(".")[2]
        return f"{name}: {self.error_text}" if self.error_text else name

    def as_json(self, action: str | None) -> dict[str, object]:
        """Return the members of the outcome file."""
        times = os.times()
        return {
            "result": self.outcome.result,
            "error_type": self.outcome.error_type,
            "error": self.error_text,
            "traceback": self.traceback,
            "reason": self.reason,
            "peak_memory_bytes": peak_memory(),
            "cpu_seconds": round(times.user + times.system + times.children_user + times.children_system, 3),
            "action": action,
        }


def write_outcome(path: str, members: Mapping[str, object]) -> None:
    """Write the outcome file at `path`, whole or not at all.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    import json  # only a runner asks for the file

    unfinished = f"{path}.{os.getpid()}"
    with open(unfinished, "w", encoding="utf-8", errors="replace") as file:
        json.dump(members, file, ensure_ascii=False)
    os.replace(unfinished, path)


def stop_of(path: str) -> tuple[bool, str]:
    """Return whether the stop file at `path` names a timeout, and its text; False and nothing without such a file."""
    if not path or not os.path.exists(path):
        return False, ""
    import json

    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            stop = json.load(file)
        return stop.get("stop") == "timeout", shortened(str(stop.get("text") or ""), ERROR_CHARACTERS)
    except (OSError, ValueError, AttributeError):
        return False, ""


def traceback_of(error: BaseException, *, is_whole: bool) -> str:
    """Return the traceback of `error`, of the task's own frames alone unless it `is_whole`.

    Raises nothing, whatever the exception's own methods do.
    """
    import traceback  # only failures pay for it

    try:
        shown = traceback.TracebackException(type(error), error, error.__traceback__)
        if not is_whole:
            _hide_own_frames(shown)
        text = "".join(shown.format())
    except Exception:  # an exception class may override anything
        text = f"{qualified_name(type(error))}: {safe_text(error)}"
    return shortened(text.rstrip(), TRACEBACK_CHARACTERS)


def stack_of(frame: FrameType, *, is_whole: bool) -> str:
    """Return where the code of `frame` is, the innermost call last."""
    import traceback  # only a stop pays for it

    entries = [entry for entry in traceback.extract_stack(frame) if is_whole or not _is_own(entry.filename)]
    return shortened("".join(traceback.format_list(entries)).rstrip(), TRACEBACK_CHARACTERS)


def safe_text(value: object, convert: Any = str) -> str:
    """Return `value` as text, though its own method may raise."""
    try:
        return str(convert(value))
    except Exception:
        return f"<{type(value).__name__} has no text: its __{convert.__name__}__ raises>"


def _hide_own_frames(shown: Any) -> None:
    """Remove our frames from an error, from its causes and from the members of a group."""
    pending, seen = [shown], set()
    while pending:
        error = pending.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        error.stack[:] = [entry for entry in error.stack if not _is_own(entry.filename)]
        pending += [error.__cause__, error.__context__, *(getattr(error, "exceptions", None) or ())]


def _is_own(filename: str) -> bool:
    """Return whether a frame of this file is the launcher's, or Python's own between the launcher and the task."""
    importlib_file = getattr(sys.modules.get("importlib"), "__file__", None)
    return filename.startswith((PACKAGE_FOLDER, "<frozen ")) or filename == importlib_file
