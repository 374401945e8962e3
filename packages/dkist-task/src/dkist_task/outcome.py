"""How a piece of work ended, told the same way on spans, metrics and the exit status."""

from __future__ import annotations

from dataclasses import dataclass


class TaskTerminated(SystemExit):
    """SIGTERM asked the task to unwind.

    A ``SystemExit``, because that is what the standard library lets through wherever it catches everything else
    (an event loop of ``asyncio``, for one).
    """


@dataclass(frozen=True)
class Outcome:
    """How a piece of work ended."""

    result: str
    """One of OpenTelemetry's values of ``cicd.pipeline.task.run.result``."""

    error_type: str | None
    """Qualified name of the exception that ended the work, None where it is done."""

    exit_status: int
    """0 done, 1 anything else: 99 would read as *skipped* to Airflow, so no task's own status leaks out."""

    @property
    def is_success(self) -> bool:
        """Whether the work is done."""
        return self.error_type is None


SUCCESS = Outcome("success", None, 0)


def outcome_of(error: BaseException | None) -> Outcome:
    """Return how work ended that let `error` out."""
    if error is None or (isinstance(error, SystemExit) and is_clean_exit(error)):
        return SUCCESS
    if isinstance(error, KeyboardInterrupt | TaskTerminated):
        result = "cancellation"
    elif isinstance(error, TimeoutError):
        result = "timeout"
    else:
        result = "failure"
    return Outcome(result, qualified_name(type(error)), 1)


def is_clean_exit(error: SystemExit) -> bool:
    """Tell whether `error` is an exit with 0; 256 is not that, though the system would cut it to 0."""
    return not isinstance(error, TaskTerminated) and (
        error.code is None or (isinstance(error.code, int) and error.code == 0)
    )


def qualified_name(kind: type) -> str:
    """Return the name that tells `kind` from its namesakes: ``ValueError``, ``astropy.io.fits.VerifyError``."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


TERMINATED = outcome_of(TaskTerminated())
"""How a task ended that SIGTERM ended."""
