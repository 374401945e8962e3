"""What this distribution raises on its own account."""


class TaskError(Exception):
    """Base of every error of this distribution."""


class RequestError(TaskError, ValueError):
    """A task was asked for that cannot be run: the message says what, which and how to mend it in one line."""
