"""The log of a launched task, which the launcher reaches whatever the task does to `logging` and its streams."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from dkist_task.telemetry.log_format import TelemetryComplaints, formatter_of

if TYPE_CHECKING:
    from collections.abc import Mapping

WAIT_SECONDS = 5.0
"""Longest wait for a reader where somebody made the log's pipe non-blocking."""


class LogStream:
    """A text stream over a duplicate of standard error: closing or redirecting ``sys.stderr`` does not reach it."""

    def __init__(self) -> None:
        try:
            self.descriptor = os.dup(2)
        except OSError:  # the process was started without standard error
            self.descriptor = os.open(os.devnull, os.O_WRONLY)

    def write(self, text: str) -> None:
        """Write `text` at once; where nobody reads the log any more, it is lost and no error."""
        rest = memoryview(text.encode(errors="backslashreplace"))
        while rest:
            try:
                rest = rest[os.write(self.descriptor, rest) :]
            except BlockingIOError:
                import select

                if not select.select([], [self.descriptor], [], WAIT_SECONDS)[1]:
                    return
            except OSError:
                return

    def flush(self) -> None:
        """Do nothing: every write is complete."""


class TaskLog:
    """Sets up the log of this process and writes the launcher's own records.

    Parameters
    ----------
    environment : mapping
        Where ``DKIST_LOG_FORMAT`` is ``json``, ``records`` or plain lines, and ``DKIST_LOG_LEVEL`` names the least
        level that is logged (INFO).
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # A character that the engine's encoding lacks must not fail the task that prints it.
                stream.reconfigure(line_buffering=True, errors="backslashreplace")
        self.stream = LogStream()
        self._formatter = formatter_of(environment)
        handler = logging.StreamHandler(self.stream)
        handler.addFilter(TelemetryComplaints())
        handler.setFormatter(self._formatter)
        name = environment.get("DKIST_LOG_LEVEL", "").strip().upper()
        level = logging.getLevelNamesMapping().get(name or "INFO")
        logging.basicConfig(level=level or logging.INFO, handlers=[handler])
        logging.captureWarnings(capture=True)
        self.is_debug = level == logging.DEBUG
        """Whether tracebacks show the frames of the launcher, too."""
        if level is None:
            self.say(logging.WARNING, f"DKIST_LOG_LEVEL={name!r} is not a level of logging; INFO is used")

    def say(self, level: int, message: str, traceback: str | None = None) -> None:
        """Write a record of the launcher's own, not through `logging`, which the task may have switched off."""
        flush_streams()
        record = logging.LogRecord("dkist_task", level, "", 0, message, None, None)
        record.exc_text = traceback
        self.stream.write(self._formatter.format(record) + "\n")


def flush_streams() -> None:
    """Write out what the task printed, as far as somebody reads it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, RuntimeError, ValueError):
            # The task closed it or set it to None, nobody reads it any more, or a signal came in the midst of a write.
            continue
