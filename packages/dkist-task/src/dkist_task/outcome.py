"""How a piece of work ended: the same words on spans, metrics, in the log and in the outcome file."""

from __future__ import annotations

from typing import NamedTuple


class TaskTerminated(SystemExit):
    """Raised in the task when SIGTERM arrives, so that it can clean up.

    A ``SystemExit``, because the standard library lets that through where it catches everything else (in an event loop
    of ``asyncio``, for one).
    """


class TaskSkipped(Exception):  # noqa: N818 a skip is not an error
    """Raise this in a task that has nothing to do: the task ends as *skipped*, and the tasks after it run.

    An ``Exception``, as users expect of what they raise: do not raise it inside a block that catches ``Exception``.

    Parameters
    ----------
    reason : str
        Why there is nothing to do, for the person who reads the log.

    Examples
    --------
    >>> raise TaskSkipped("no polarimetric data")
    Traceback (most recent call last):
    dkist_task.outcome.TaskSkipped: no polarimetric data
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


OUTCOME_NOT_WRITTEN = "the outcome file cannot be written: "
"""How the log says that the launcher could not report the end of a task; the cause follows."""


class Outcome(NamedTuple):
    """How a piece of work ended.

    Python makes a named tuple in an eighth of the time that a frozen dataclass takes: in this distribution, the values
    that every start needs are named tuples.
    """

    result: str
    """One of OpenTelemetry's values of ``cicd.pipeline.task.run.result``."""

    error_type: str | None
    """Qualified name of the exception that ended the work, None after a success or a skip."""

    exit_status: int
    """0 after a success or a skip, else 1: Airflow would read 99 as *skipped*, so a task's own status is never used."""

    @property
    def is_success(self) -> bool:
        """Whether nothing went wrong; a skip counts."""
        return self.error_type is None


SUCCESS = Outcome("success", None, 0)
SKIP = Outcome("skip", None, 0)


def outcome_of(error: BaseException | None) -> Outcome:
    """Return the outcome of work that ended with `error`."""
    if error is None or (isinstance(error, SystemExit) and is_clean_exit(error)):
        return SUCCESS
    if isinstance(error, TaskSkipped):
        return SKIP
    if isinstance(error, KeyboardInterrupt | TaskTerminated):
        result = "cancellation"
    elif isinstance(error, TimeoutError):
        result = "timeout"
    else:
        result = "failure"
    return Outcome(result, qualified_name(type(error)), 1)


def is_clean_exit(error: SystemExit) -> bool:
    """Return whether `error` is an exit with 0; 256 is not, though the system would cut it to 0."""
    return not isinstance(error, TaskTerminated) and (
        error.code is None or (isinstance(error.code, int) and error.code == 0)
    )


def qualified_name(kind: type) -> str:
    """Return the full name of `kind`: ``ValueError``, ``astropy.io.fits.VerifyError``."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


TERMINATED = outcome_of(TaskTerminated())
"""The outcome of a task that SIGTERM ended for a reason that nobody named."""

TIMED_OUT = Outcome("timeout", TERMINATED.error_type, 1)
"""The outcome of a task that SIGTERM ended because its time was up."""
