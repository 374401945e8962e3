"""Runs one task in this process and tells the engine by the exit status how it ended."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING

from opentelemetry import trace

from dkist_task.errors import RequestError
from dkist_task.launcher.opening import opening_block
from dkist_task.launcher.request import request_from, task_class_from
from dkist_task.launcher.termination import Termination, die_of_sigterm
from dkist_task.outcome import TERMINATED, TaskTerminated, outcome_of
from dkist_task.task import is_told_by_launcher
from dkist_task.telemetry import TaskRun, Telemetry, Usage, carrier_of, configure_log, start_telemetry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_task.launcher.request import Request
    from dkist_task.outcome import Outcome

UNUSABLE_REQUEST = 2
"""Exit status where nothing was run."""

logger = logging.getLogger("dkist_task")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what `arguments` and the environment ask for and return the exit status."""
    try:
        request = request_from(sys.argv[1:] if arguments is None else arguments, os.environ)
    except RequestError as refusal:
        return _refuse(refusal)
    configure_log(os.environ)
    print(opening_block(request, os.environ), flush=True)  # noqa: T201 the log's first lines, whatever its level
    return Launch(request).execute()


class Launch:
    """One process's run of one task, from the import of its module to the exit status."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._start = Usage(time.time_ns(), time.monotonic(), 0.0, 0.0)
        self._telemetry = Telemetry()
        self._run: TaskRun | None = None
        self._termination = Termination(self._send_open_spans)

    def execute(self) -> int:
        """Run the task and return the exit status; after a SIGTERM, die of it."""
        error: BaseException | None = None
        try:
            try:
                self._termination.install()
                self._perform()
            finally:
                self._termination.decide()
        except BaseException as raised:
            error = raised
        ended = time.monotonic()
        is_terminated = self._termination.is_received
        if self._run is None and isinstance(error, RequestError) and not is_terminated:
            return _refuse(error)
        # A task may swallow the exception, or fail while it cleans up: it was terminated all the same.
        outcome = TERMINATED if is_terminated else outcome_of(error)
        _log_outcome(outcome, error)
        if self._run is not None:
            self._run.finish(outcome, error)
        self._telemetry.close(outcome, ended)
        if is_terminated:
            _terminate_children()
            die_of_sigterm()
        return outcome.exit_status

    def _perform(self) -> None:
        """Run the task as its author would in a script."""
        try:
            task_class = task_class_from(self._request)
        except RequestError:
            raise
        except BaseException:
            self._tell()
            raise
        # Only now: a package that sets providers of its own does so when it is imported.
        run = self._tell()
        identity = self._request.identity
        with trace.use_span(run.span, record_exception=False, set_status_on_exception=False):
            task = task_class(
                recipe_run_id=identity.recipe_run_id,
                workflow_name=identity.workflow_name,
                workflow_version=identity.workflow_version,
            )
            is_told_by_launcher(task)
            with task:
                try:
                    if self._request.action == "run":
                        task()
                    else:
                        task.rollback()
                finally:
                    self._termination.let_clean_up()

    def _tell(self) -> TaskRun:
        """Start telemetry and the run's root span, and let child processes join both."""
        identity = self._request.identity
        with self._termination.held():
            self._telemetry = start_telemetry(identity, os.environ)
            self._run = TaskRun(identity, self._start, self._request.action)
            if self._run.span.get_span_context().is_valid:
                from dkist_task.launcher.child import adopt_children

                adopt_children()
                os.environ.update(identity.environment() | carrier_of(self._run.span))
        return self._run

    def _send_open_spans(self) -> None:
        """Send what a termination that does not come through would lose."""
        self._telemetry.send_open_spans(TERMINATED)


def _log_outcome(outcome: Outcome, error: BaseException | None) -> None:
    """Say how the task ended; the traceback appears here and nowhere else."""
    if error is not None and not isinstance(error, SystemExit):
        logger.error("%s: %s", outcome.result, outcome.error_type, exc_info=error)
    elif outcome.is_success:
        logger.info("success")
    elif isinstance(error, SystemExit) and not isinstance(error, TaskTerminated):
        logger.error("%s: exited with %r", outcome.result, error.code)
    else:
        logger.error("%s: SIGTERM", outcome.result)


def _terminate_children() -> None:
    """End the children of `multiprocessing`, as the interpreter does at an end that is not a signal."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None:
        for child in multiprocessing.active_children():
            child.terminate()


def _refuse(error: RequestError) -> int:
    """Say in one line why nothing was run."""
    sys.stderr.write(f"dkist_task: {' '.join(str(error).split())}\n")
    return UNUSABLE_REQUEST
