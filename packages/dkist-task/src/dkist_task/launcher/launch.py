"""Run one task in this process, and report how it ended by log, outcome file and exit status."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import time
from typing import TYPE_CHECKING

from opentelemetry import trace

from dkist_task.errors import RequestError
from dkist_task.launcher.distribution import distribution_at
from dkist_task.launcher.ending import Ending, stack_of, stop_of, traceback_of, write_outcome
from dkist_task.launcher.host import this_host
from dkist_task.launcher.opening import opening_block
from dkist_task.launcher.request import request_from, task_class_from
from dkist_task.launcher.termination import Termination, die_of_sigterm
from dkist_task.outcome import (
    OUTCOME_NOT_WRITTEN,
    TERMINATED,
    TIMED_OUT,
    Outcome,
    is_clean_exit,
    outcome_of,
    qualified_name,
)
from dkist_task.record import begin_record, moment
from dkist_task.task import give_name, has_started_work, mark_launched
from dkist_task.telemetry import (
    TaskLog,
    TaskRun,
    Telemetry,
    Usage,
    carrier_of,
    refuse_missing_providers,
    start_telemetry,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from dkist_task.launcher.request import Request
    from dkist_task.record import Record
    from dkist_task.task import TaskBase

UNUSABLE_REQUEST = 2
"""Exit status where nothing was run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what `arguments` and the environment ask for and return the exit status."""
    environment = dict(os.environ)  # as it was given: a task may change it
    log = TaskLog(environment)
    faulthandler.enable(log.stream.descriptor)
    try:
        request = request_from(sys.argv[1:] if arguments is None else arguments, environment)
    except RequestError as refusal:
        return _refuse(refusal, log, environment, None)
    refuse_missing_providers(os.environ)
    distribution, host = distribution_at(request.module_name), this_host()
    sys.stdout.write(opening_block(request, environment, distribution, host) + "\n")
    sys.stdout.flush()
    facts = {
        "entry_point": f"{request.module_name}:{request.class_name}",
        "distribution": distribution,
        "host": host.name,
        "system": host.system,
        "processors": host.processors,
        "memory_bytes": host.memory,
    }
    record = begin_record(request.identity, facts, environment, request.action)
    return Launch(request, log, environment, record).execute()


class Launch:
    """One process's run of one task, from the import of its module to the exit status.

    Parameters
    ----------
    request : Request
        The task, its run and what to do.
    log : TaskLog
        Where the launcher reports.
    environment : mapping
        The variables that the process was started with.
    record : Record or None
        The record of the attempt, where one is kept.
    """

    def __init__(
        self, request: Request, log: TaskLog, environment: Mapping[str, str], record: Record | None = None
    ) -> None:
        self._request = request
        self._record = record
        self._log = log
        self._environment = environment
        self._start = Usage(time.time_ns(), time.monotonic(), 0.0, 0.0)
        self._telemetry = Telemetry()
        self._run: TaskRun | None = None
        self._has_started_work = False
        self._work_error: BaseException | None = None
        self._termination = Termination(self._send_open_spans, self._report_signal)

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
            return _refuse(error, self._log, self._environment, self._request.action, self._record)
        ending = self._ending_of(error)
        if self._run is None:
            self._report(ending)
        else:
            with trace.use_span(self._run.span, record_exception=False, set_status_on_exception=False):
                self._report(ending)
            self._run.finish(ending.outcome, error)
        self._telemetry.close(ending.outcome, ended)
        if is_terminated:
            _terminate_children()
        _write_outcome(ending, self._log, self._environment, self._request.action, self._record)
        if is_terminated:
            die_of_sigterm()
        return ending.outcome.exit_status

    def _perform(self) -> None:
        """Run the task as its author would in a script."""
        try:
            task_class = task_class_from(self._request)
        except RequestError:
            raise
        except BaseException:
            self._start_run()
            raise
        # Only now: a package that sets providers of its own does so when it is imported.
        run = self._start_run()
        identity = self._request.identity
        with trace.use_span(run.span, record_exception=False, set_status_on_exception=False):
            give_name(task_class, identity.task_name)
            task = task_class(
                recipe_run_id=identity.recipe_run_id,
                workflow_name=identity.workflow_name,
                workflow_version=identity.workflow_version,
            )
            mark_launched(task)
            with task:
                try:
                    self._work(task)
                finally:
                    self._termination.let_clean_up()

    def _work(self, task: TaskBase) -> None:
        """Do what was asked for, and remember how far it came."""
        try:
            if self._request.action == "run":
                if task.rollback_before_retry and (self._request.identity.try_number or 1) > 1:
                    task.rollback()
                task()
            else:
                task.rollback()
            self._has_started_work = True
        except BaseException as error:
            self._has_started_work = has_started_work(task, self._request.action)
            self._work_error = error
            raise

    def _start_run(self) -> TaskRun:
        """Start telemetry and the root span, and let child processes join both."""
        identity = self._request.identity
        with self._termination.held():
            self._telemetry = start_telemetry(identity, os.environ)
            self._run = TaskRun(identity, self._start, self._request.action)
            if self._run.span.get_span_context().is_valid:
                from dkist_task.launcher.child import adopt_children

                adopt_children()
                os.environ.update(identity.environment() | carrier_of(self._run.span))
        return self._run

    def _ending_of(self, error: BaseException | None) -> Ending:
        """Return how the task ended that let `error` out."""
        if self._termination.is_received:
            # A task may swallow the exception, or fail while it cleans up: it was terminated all the same.
            is_timeout, text = self._stop()
            outcome = TIMED_OUT if is_timeout else TERMINATED
            # The name of the exception, and no other error's: the task was stopped.
            return Ending(outcome, error, text or "SIGTERM", self._traceback_of(error))
        if isinstance(error, SystemExit) and is_clean_exit(error):
            if self._work_error is not None and not outcome_of(self._work_error).is_success:
                error = self._work_error  # an __exit__ that exits with 0 does not turn a failure into a success
            elif not self._has_started_work:
                return Ending(Outcome("failure", qualified_name(type(error)), 1), error)
        return Ending(outcome_of(error), error, traceback=self._traceback_of(error))

    def _traceback_of(self, error: BaseException | None) -> str | None:
        """Return the traceback of `error` where it is worth showing."""
        if error is None or isinstance(error, SystemExit) or outcome_of(error).is_success:
            return None
        return traceback_of(error, is_whole=self._log.is_debug)

    def _report(self, ending: Ending) -> None:
        """Log how the task ended; the traceback appears here and nowhere else."""
        outcome = ending.outcome
        level = logging.INFO if outcome.is_success else logging.ERROR
        if ending.traceback:
            stopped = f" ({ending.stop_text})" if ending.stop_text else ""
            error_type = qualified_name(type(ending.error))
            self._log.say(level, f"{outcome.result}: {error_type}{stopped}", ending.traceback)
        else:
            self._log.say(level, f"{outcome.result}: {ending.reason}" if ending.reason else outcome.result)

    def _report_signal(self, frame: FrameType | None) -> None:
        """Log where the task was when SIGTERM came; raise nothing, as this runs in the midst of the task."""
        try:
            _, text = self._stop()
            stack = stack_of(frame, is_whole=self._log.is_debug) if frame is not None else ""
            place = f"; the task was here (innermost call last):\n{stack}" if stack else ""
            self._log.say(logging.WARNING, f"SIGTERM{': ' if text else ''}{text}{place}")
        except Exception as error:
            self._log.say(logging.WARNING, f"SIGTERM (the stack cannot be shown: {type(error).__name__})")

    def _stop(self) -> tuple[bool, str]:
        """Return whether the task was stopped because its time was up, and why it was stopped."""
        return stop_of(self._environment.get("DKIST_STOP_FILE", ""))

    def _send_open_spans(self) -> None:
        """Send the open spans of a task that does not unwind in time."""
        is_timeout, _ = self._stop()
        self._telemetry.send_open_spans(TIMED_OUT if is_timeout else TERMINATED)


def _terminate_children() -> None:
    """End the children of `multiprocessing`, as the interpreter does when no signal ends it."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None:
        for child in multiprocessing.active_children():
            child.terminate()


def _write_outcome(
    ending: Ending, log: TaskLog, environment: Mapping[str, str], action: str | None, record: Record | None
) -> None:
    """Write the end of the record and the outcome file, where they are asked for."""
    path = environment.get("DKIST_OUTCOME_FILE", "")
    if not (path or record):
        return
    members = ending.as_json(action)
    if record is not None:
        record.append({"ended": moment(), **{name: value for name, value in members.items() if name != "traceback"}})
    if path:
        try:
            write_outcome(path, members)
        except OSError as error:
            log.say(logging.ERROR, f"{OUTCOME_NOT_WRITTEN}{error}")


def _refuse(
    error: RequestError,
    log: TaskLog,
    environment: Mapping[str, str],
    action: str | None,
    record: Record | None = None,
) -> int:
    """Report in one line why nothing was run, and return the exit status."""
    text = f"dkist_task: {' '.join(str(error).split())}"
    if environment.get("DKIST_LOG_FORMAT", "").strip().lower() == "records":
        log.say(logging.ERROR, text)
    else:
        log.stream.write(text + "\n")
    ending = Ending(Outcome("error", qualified_name(type(error)), UNUSABLE_REQUEST), error)
    _write_outcome(ending, log, environment, action, record)
    return UNUSABLE_REQUEST
