"""What Airflow knows to have failed and nobody has reported: found, and put into the spool."""

from __future__ import annotations

import fcntl
import logging
import os
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

from dkist_airflow_node.errors import MessageFormatError, SiteError, SpoolError
from dkist_airflow_node.messages import FailedTask, FailureMessage, Ledger, Source, named_task, read_message, whole_run
from dkist_airflow_node.site.clearing import TaskHistory, clearings
from dkist_airflow_node.site.run import (
    attempts_by_run,
    earlier_attempts,
    ended_runs,
    failed_attempts,
    run_if_there,
)
from dkist_airflow_node.site.task_error import task_error
from dkist_airflow_node.site.undecided import Decisions, decide, undecided_messages
from dkist_airflow_node.site.workflow import exported_workflows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dkist_airflow_node.messages import ExportedWorkflow, Spool
    from dkist_airflow_node.site.api import AirflowApi
    from dkist_airflow_node.site.run import Attempt, Run, RunKey

logger = logging.getLogger(__name__)

CLOCKS_SECONDS = 60
"""How far a worker's clock may be ahead of this host's: an earlier confirmation is of an older failure."""

UNSEEN_CLEARINGS = 16
"""How many clearings without a trace in Airflow the confirmed keys may prove."""

LOCK = "reconciliation.lock"
"""File in the spool: two reconciliations of one spool do not report the same failure twice."""

NO_ERROR = (
    "Airflow has recorded the failure without an error: the task was stopped from outside, or its worker was lost"
)
STOPPED = "Airflow has ended the run and stopped the task: the run was marked as failed, or took too long"
NO_FAILED_TASK = (
    "Airflow has recorded the run as failed, and none of its tasks: it was marked as failed, or took too long"
)


@dataclass(frozen=True)
class Failure:
    """A failure that Airflow knows."""

    workflow: ExportedWorkflow
    """The workflow."""
    run: Run
    """The run."""
    attempt: Attempt | None
    """The attempt that failed; None where only the run is known to have failed."""
    end: datetime
    """When it failed."""
    number: int
    """How often the run had been cleared by then."""
    last_number: int
    """How often it has been cleared by now."""
    worker_number: int | None
    """What a worker of Airflow 3.0 or 3.1 takes for the number, if another one."""
    named: tuple[Attempt, ...] = ()
    """What the dag-processor may have named in place of the run: tasks that have run, and are skipped."""

    def task(self, number: int, reason: str | None = None) -> FailedTask:
        """Return the failure as callbacks see it: what makes the key is found in the same way as there."""
        return self._task(self.attempt, number, reason)

    def keys(self, more: int) -> Iterator[str]:
        """Yield the keys under which somebody may have reported it, if the run was cleared some more times."""
        for number in range(self.number, self.last_number + more + 1):
            for attempt in (self.attempt, *self.named):
                yield self._task(attempt, number).idempotency_key
        if self.worker_number is not None:
            yield self.task(self.worker_number).idempotency_key

    def _task(self, attempt: Attempt | None, number: int, reason: str | None = None) -> FailedTask:
        instance = None
        if attempt is not None:
            instance = SimpleNamespace(
                task_id=attempt.task_id, map_index=attempt.map_index, try_number=attempt.try_number
            )
        run = SimpleNamespace(run_after=self.run.run_after, clear_number=number, conf=self.run.conf)
        context = {"run_id": self.run.run_id, "dag": self.workflow, "ti": instance, "dag_run": run, "reason": reason}
        named = replace(named_task(context), source=Source.RECONCILER)
        return named if attempt is not None else whole_run(named)


@dataclass(frozen=True)
class Reconciliation:
    """The result of a reconciliation."""

    runs: int
    """How many runs with a failure there are."""
    failures: int
    """How many failures they have."""
    missing: tuple[FailureMessage, ...]
    """The messages of those that had not been confirmed."""
    decisions: Decisions
    """What became of the undecided messages."""


def reconcile(
    api: AirflowApi, spool: Spool, *, since: datetime, until: datetime, is_dry: bool = False
) -> Reconciliation:
    """Spool a message of each final failure that the broker has not confirmed to this host.

    Parameters
    ----------
    api : AirflowApi
        The connection to Airflow.
    spool : Spool
        Where messages wait; its ledger says what was confirmed.
    since, until : datetime
        Between which times a task, or a run, has failed.
    is_dry : bool
        Whether to write nothing.

    Returns
    -------
    Reconciliation
        What was found.
    """
    undecided, asked = undecided_messages(spool), datetime.now(UTC)
    known = _failures(api, min([since, *(each.message.made or asked for each in undecided)]))
    failures = [each for each in known if since <= each.end <= until]
    with _alone(spool, is_dry=is_dry):
        keys = {key for each in known for key in each.keys(UNSEEN_CLEARINGS)}
        decisions = decide(api, spool, undecided, keys, asked=asked, is_dry=is_dry)
    missing = _missing(failures, _reported(spool))
    texts = {failure: _reason(api, failure) for failure, _ in missing}  # before the lock is held: a log may be long
    messages = []
    with _alone(spool, is_dry=is_dry):
        for failure, number in _missing(failures, _reported(spool)):
            if failure not in texts:
                continue  # it was reported, then refused or deleted: the next reconciliation decides
            message = _message(api, failure, number, texts[failure])
            if not is_dry:
                spool.add(message.to_json())
            messages.append(message)
    runs = {each.run.key for each in failures}
    return Reconciliation(len(runs), len(failures), tuple(messages), decisions)


def _failures(api: AirflowApi, since: datetime) -> list[Failure]:
    """Return every failure of the runs that have failed since a time, in the order of their times."""
    workflows = exported_workflows(api)
    counts_running = _version(api) >= (3, 2)
    runs = {run.key: run for run in ended_runs(api, workflows, ["failed"], since)}
    for attempt in failed_attempts(api, workflows, since):
        if attempt.run_key not in runs and (run := run_if_there(api, *attempt.run_key)) is not None:
            runs[attempt.run_key] = run
    found = []
    for key, attempts in attempts_by_run(api, runs).items():
        histories = [_history(api, attempt) for attempt in attempts]
        moments = clearings(histories, runs[key].queued, counts_running=counts_running)
        for failed, end in _failed_in(runs[key], attempts):
            before = sum(moment <= end for moment in moments)
            history = next((each for each in histories if each.latest is failed), None)
            worker = None
            if history is not None and history.earlier and not counts_running:
                worker = min(0, history.attempts[0].max_tries - history.latest.max_tries)
            named = () if failed else tuple(each for each in attempts if each.state == "skipped" and each.has_run)
            found.append(Failure(workflows[key[0]], runs[key], failed, end, before, len(moments), worker, named))
    return sorted(found, key=lambda each: each.end)


def _failed_in(run: Run, attempts: Sequence[Attempt]) -> Iterator[tuple[Attempt | None, datetime]]:
    """Yield each attempt of a run that failed, and when; None where the run failed without one."""
    run_end = run.end or datetime.now(UTC)
    failed = [each for each in attempts if each.state == "failed" or _is_stopped(each, run, run_end)]
    if not failed and run.state == "failed":
        yield None, run_end
    for attempt in failed:
        yield attempt, attempt.end or run_end


def _is_stopped(attempt: Attempt, run: Run, run_end: datetime) -> bool:
    """Return whether the time limit of a run has stopped an attempt, which callbacks report.

    Airflow records it as skipped. A task that has skipped itself ended before its run.
    """
    is_late = attempt.end is None or attempt.end >= run_end
    return run.state == "failed" and attempt.state == "skipped" and attempt.has_run and is_late


def _missing(failures: Sequence[Failure], reported: Mapping[str, float]) -> list[tuple[Failure, int]]:
    """Return the failures that nobody has reported, each with the number of clearings that belongs into its key."""
    unseen = _unseen_clearings(failures, reported)
    missing = []
    for failure in failures:
        earliest = failure.end.timestamp() - CLOCKS_SECONDS
        if all(reported.get(key, 0.0) < earliest for key in failure.keys(unseen[failure.run.key])):
            number = failure.number
            while failure.task(number).idempotency_key in reported:  # of an older failure: the run was cleared since
                number += 1
            missing.append((failure, number))
    return missing


def _unseen_clearings(failures: Sequence[Failure], reported: Mapping[str, float]) -> Mapping[RunKey, int]:
    """Return how many more clearings of each run the reported keys prove than Airflow shows."""
    unseen: dict[RunKey, int] = defaultdict(int)
    for failure in failures:
        for more in range(1, UNSEEN_CLEARINGS + 1):
            if failure.task(failure.last_number + more).idempotency_key in reported:
                unseen[failure.run.key] = max(unseen[failure.run.key], more)
    return unseen


def _reported(spool: Spool) -> dict[str, float]:
    """Return when each failure was confirmed, refused, spooled or kept undecided, in seconds since 1970, by its key."""
    found: dict[str, float] = {}
    # Before the ledger: a message that goes now gets there first.
    for path in (*spool.undecided.paths(), *spool.paths(), *spool.paths_aside()):
        try:
            message = FailureMessage.from_json(read_message(path))
        except MessageFormatError:
            continue
        found[str(message.idempotency_key)] = (message.made or datetime.now(UTC)).timestamp()
    for key, seconds in Ledger(spool.folder).confirmed().items():
        found[key] = max(seconds, found.get(key, 0.0))
    return found


def _reason(api: AirflowApi, failure: Failure) -> str:
    attempt = failure.attempt
    if attempt is None:
        return NO_FAILED_TASK
    if attempt.state != "failed":
        return STOPPED
    return task_error(api, attempt) or NO_ERROR


def _message(api: AirflowApi, failure: Failure, number: int, reason: str) -> FailureMessage:
    task = failure.task(number, reason)
    if (attempt := failure.attempt) is not None:
        task = replace(task, log_url=attempt.log_url(api.url))
    return task.message(workflow_name=failure.workflow.name, workflow_version=failure.workflow.version)


def _history(api: AirflowApi, latest: Attempt) -> TaskHistory:
    return TaskHistory(latest, earlier_attempts(api, latest) if latest.try_number > 1 else ())


def _version(api: AirflowApi) -> tuple[int, int]:
    text = str(api.ask("/version").get("version"))
    try:
        major, minor, *_ = text.split(".")
        return int(major), int(minor)
    except ValueError as error:
        raise SiteError(f"{api.url} says that it is Airflow {text!r}, which is not a version") from error


@contextmanager
def _alone(spool: Spool, *, is_dry: bool) -> Iterator[None]:
    """Hold the lock of the spool's reconciliations; wait for another one to end."""
    if is_dry:
        yield
        return
    try:
        spool.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(spool.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SpoolError(f"the spool {spool.folder} cannot be written: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
