"""What this distribution raises on its own account."""

from __future__ import annotations


class TaskError(Exception):
    """Base of every error of this distribution."""


class RequestError(TaskError, ValueError):
    """A task was asked for that cannot be run: the message says what, which and how to mend it in one line."""
