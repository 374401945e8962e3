"""What this distribution raises on its own account."""

from __future__ import annotations


class TaskError(Exception):
    """Base of every error of this distribution."""


class RequestError(TaskError, ValueError):
    """A task was asked for that cannot be run: the message says what, which and how to mend it in one line."""


class SettingError(TaskError, ValueError):
    """A class attribute of a task is one that the engine cannot use.

    Parameters
    ----------
    name : str
        The attribute.
    expected : str
        What it may be.
    value : object
        What it is.
    """

    def __init__(self, name: str, expected: str, value: object) -> None:
        super().__init__(f"{name} must be {expected}, not {value!r}")
