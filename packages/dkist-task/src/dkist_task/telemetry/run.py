"""One run of one task as telemetry sees it: a root span, and metrics where it ends."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace

from dkist_task.identity import RESULT
from dkist_task.outcome import TaskSkipped, outcome_of
from dkist_task.telemetry.metrics import Usage, record_metrics
from dkist_task.telemetry.span import TRACER_NAME, end, record_outcome, run_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dkist_task.identity import TaskIdentity
    from dkist_task.outcome import Outcome


class TaskRun:
    """A run of a task, open from construction until `finish`.

    Parameters
    ----------
    identity : TaskIdentity
        The task and its run.
    start : Usage
        What the process had used when the run began.
    action : str
        ``run`` or ``rollback``; a rollback is not counted as a run.
    """

    def __init__(self, identity: TaskIdentity, start: Usage, action: str = "run") -> None:
        self._identity = identity
        self._start = start
        self._is_measured = action == "run"
        self.span = trace.get_tracer(TRACER_NAME).start_span(
            identity.task_name if self._is_measured else f"{identity.task_name} {action}",
            run_context(lambda: identity),
            attributes=identity.attributes(),
            start_time=start.time_ns,
        )
        """The root span of the run."""

    def finish(self, outcome: Outcome, error: BaseException | None) -> None:
        """End the run: span and metrics get the same outcome."""
        if self.span.is_recording():
            self.span.set_attribute(RESULT, outcome.result)
        if isinstance(error, TaskSkipped):
            self.span.set_attribute("dkist.task.skip_reason", str(error.reason))
        record_outcome(self.span, outcome, error)
        if self._is_measured:
            record_metrics(self._identity, outcome, self._start)
        end(self.span)


@contextmanager
def task_run(identity: TaskIdentity) -> Iterator[None]:
    """Record the block as a run of a task that is called without the launcher."""
    run = TaskRun(identity, Usage.now())
    error: BaseException | None = None
    try:
        with trace.use_span(run.span, record_exception=False, set_status_on_exception=False):
            yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        run.finish(outcome_of(error), error)
        del error  # a traceback that holds this frame would keep the task alive
