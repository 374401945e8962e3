"""Spans in a file of the process's own, for where there is no collector."""

from __future__ import annotations

import logging
import os
import re
import time
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

from dkist_task.telemetry.otlp_json import line_of

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

logger = logging.getLogger(__name__)


class SpanFile(SpanProcessor):
    """Append each ended span to a file in `folder` at once, so that no kind of death loses one that ended.

    A file that cannot be written is one warning; a task never fails or waits for it.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        unique = f"{os.uname().nodename}-{os.getpid()}-{time.time_ns()}"
        self._path = folder / (re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{stem}-{unique}")[-200:] + ".jsonl")
        self._file: int | None = None
        self._is_broken = False

    def on_end(self, span: ReadableSpan) -> None:
        """Append `span` in one write: lines of threads never mix."""
        if self._is_broken or not (span.context and span.context.trace_flags.sampled):
            return
        line = line_of(span)
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if os.write(self._file, line) < len(line):
                # Only a full disk writes less than asked for, and half a line must stay the last one.
                raise OSError(f"no room for a span in {self._path}")
        except OSError as error:
            self._is_broken = True
            logger.warning("spans are not kept in DKIST_SPAN_FOLDER: %s", error)
