"""What people see of a run while it goes on."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dkist_build_utils.local_run.attempt import Attempt
    from dkist_build_utils.local_run.plan import Step

TICK_SECONDS = 0.25
"""How often a terminal is drawn again."""
CLEAR_LINE, NO_WRAP, WRAP = "\x1b[2K", "\x1b[?7l", "\x1b[?7h"


class Progress:
    """Says nothing; the base of those that do."""

    tick_seconds: float | None = None
    """How often `tick` wants to be called, None for never."""

    def begin(self, steps: tuple[Step, ...]) -> None:
        """Take what is going to happen."""

    def start(self, task: str, try_number: int, last_line: Callable[[], str]) -> None:
        """Take that an attempt starts."""

    def end(self, attempt: Attempt, retry_seconds: float | None) -> None:
        """Take that an attempt ended, and after how long the next follows, None where none does."""

    def block(self, task: str, reason: str) -> None:
        """Take that a task will not run."""

    def say(self, text: str) -> None:
        """Take something that concerns the whole run."""

    def tick(self) -> None:
        """Draw again."""

    def finish(self) -> None:
        """Leave the place to what follows."""


class PlainProgress(Progress):
    """Writes a line for each thing that happens."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def begin(self, steps: tuple[Step, ...]) -> None:
        """Say how much there is to do."""
        self.say(_count(steps))

    def start(self, task: str, try_number: int, last_line: Callable[[], str]) -> None:  # noqa: ARG002
        """Say which attempt starts."""
        self.say(f"{task}: started{_try(try_number)}")

    def end(self, attempt: Attempt, retry_seconds: float | None) -> None:
        """Say how an attempt ended."""
        again = "" if retry_seconds is None else f"; next try in {retry_seconds:g} s"
        why = f": {attempt.reason}" if attempt.reason else ""
        self.say(f"{attempt.task}: {attempt.result} after {attempt.seconds:.1f} s{why}{again}")

    def block(self, task: str, reason: str) -> None:
        """Say which task will not run."""
        self.say(f"{task}: {reason}")

    def say(self, text: str) -> None:
        """Write a line."""
        self._write(f"{time.strftime('%H:%M:%S')} {printable(text)}\n")

    def _write(self, text: str) -> None:
        """Write a text; a terminal that was closed must not end what has to be brought to its end."""
        with suppress(OSError):
            self.stream.write(text)
            self.stream.flush()


class LiveProgress(PlainProgress):
    """Keeps a line for each running task at the bottom of a terminal, below the lines of what ended."""

    tick_seconds = TICK_SECONDS

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._running: dict[str, tuple[int, float, Callable[[], str]]] = {}
        self._retries: dict[str, float] = {}
        self._drawn = 0
        self._ended = self._total = 0

    def begin(self, steps: tuple[Step, ...]) -> None:
        """Say how much there is to do."""
        self._total = sum(step.action == "run" for step in steps)
        super().begin(steps)

    def start(self, task: str, try_number: int, last_line: Callable[[], str]) -> None:
        """Add a line."""
        self._retries.pop(task, None)
        self._running[task] = (try_number, time.monotonic(), last_line)

    def end(self, attempt: Attempt, retry_seconds: float | None) -> None:
        """Take the line away and say above how the attempt ended."""
        self._running.pop(attempt.task, None)
        if retry_seconds is None:
            self._ended += 1
        else:
            self._retries[attempt.task] = time.monotonic() + retry_seconds
        super().end(attempt, retry_seconds)

    def block(self, task: str, reason: str) -> None:
        """Say above which task will not run."""
        self._ended += 1
        super().block(task, reason)

    def say(self, text: str) -> None:
        """Write a line above those of the running tasks."""
        self._erase()
        super().say(text)
        self._draw()

    def tick(self) -> None:
        """Draw the lines of the running tasks again."""
        self._erase()
        self._draw()

    def finish(self) -> None:
        """Take the lines away."""
        self._erase()

    def _erase(self) -> None:
        if self._drawn:
            self._write(f"\r\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        now = time.monotonic()
        rows = max(1, _height(self.stream) - 3)
        width = max((len(task) for task in self._running), default=0)
        lines = [
            f"  {task:{width}}  {now - start:6.1f} s{_try(number)}  {printable(last_line())}"
            for task, (number, start, last_line) in self._running.items()
        ]
        lines += [f"  {task}: next try in {max(0.0, due - now):.0f} s" for task, due in self._retries.items()]
        if len(lines) > rows:
            lines = [*lines[: rows - 1], f"  and {len(lines) - rows + 1} more"]
        lines.append(f"  {self._ended} of {self._total} ended, {len(self._running)} running")
        # Without wrapping, a line is a row however wide its characters are.
        self._write(NO_WRAP + "".join(f"{CLEAR_LINE}{line}\n" for line in lines) + WRAP)
        self._drawn = len(lines)


def progress_for(stream: TextIO) -> Progress:
    """Return what suits a stream: live lines on a terminal, plain lines elsewhere."""
    is_terminal = stream.isatty() and os.environ.get("TERM") not in {None, "", "dumb"}
    return LiveProgress(stream) if is_terminal else PlainProgress(stream)


def printable(text: str) -> str:
    """Return a text that moves no cursor."""
    return "".join(
        letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.splitlines()).replace("\t", " ")
    )


def _count(steps: tuple[Step, ...]) -> str:
    counts: Mapping[str, int] = {
        action: sum(step.action == action for step in steps) for action in ("run", "keep", "leave")
    }
    kept = f", {counts['keep']} kept" if counts["keep"] else ""
    left = f", {counts['leave']} not asked for" if counts["leave"] else ""
    return f"{counts['run']} of {len(steps)} tasks to run{kept}{left}"


def _try(number: int) -> str:
    return f", try {number}" if number > 1 else ""


def _height(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).lines or 24
    except (OSError, ValueError):
        return 24
