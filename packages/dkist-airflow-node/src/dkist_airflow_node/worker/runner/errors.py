"""The two reasons why a task does not come to its own end."""

from __future__ import annotations


class CannotRunError(Exception):
    """The task cannot be run here; the text says what, which and how to fix."""

    def __init__(self, reason: str, *, can_retry: bool = True) -> None:
        super().__init__(reason)
        self.can_retry = can_retry


class StoppedError(Exception):
    """Somebody asked for the end of the task."""

    def __init__(self, stop: str, text: str) -> None:
        super().__init__(text)
        self.stop = stop
