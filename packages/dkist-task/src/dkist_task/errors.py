"""The errors of this distribution."""

from __future__ import annotations


class TaskError(Exception):
    """Base of every error of this distribution."""


class RequestError(TaskError, ValueError):
    """The request cannot be carried out: the message says in one line what is wrong, where, and how to fix it."""


class SettingError(TaskError, ValueError):
    """A class attribute of a task has a value that the engine cannot use.

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
