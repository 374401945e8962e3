"""How often a run has been cleared, from what Airflow's REST API says of its tasks.

The key of a failure has this number in it (`FailedTask.idempotency_key`). Callbacks read it from their run, and the
REST API does not give it. So it is counted here: each clearing leaves a trace in the tasks that it cleared. A task gets
a new id, whose first bits are the time, and may be tried more often, which a retry does not allow. One clearing leaves
traces in several tasks, so traces that may be of one moment count once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from dkist_airflow_node.site.run import Attempt

SLACK = timedelta(seconds=0.5)
"""Airflow clears the tasks of a run one after the other, some milliseconds each."""

ENDING = timedelta(seconds=3)
"""How long after the end of a process Airflow may take to prepare the next attempt of a task that was cleared."""

CREATION = timedelta(seconds=2)
"""How long Airflow may take to create a run and its tasks."""

NEVER = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class TaskHistory:
    """All attempts of one task of a run."""

    latest: Attempt
    """The latest one."""
    earlier: Sequence[Attempt] = ()
    """Those before it, in their order."""

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt, in its order."""
        return (*self.earlier, self.latest)


@dataclass(frozen=True)
class _Trace:
    """A time within which a task was cleared."""

    begin: datetime
    end: datetime
    tasks: frozenset[tuple[str, int]] = field(default_factory=frozenset)


def clearings(histories: Collection[TaskHistory], queued: datetime | None, *, counts_running: bool) -> list[datetime]:
    """Return when a run has been cleared: a time at which each clearing had been done.

    Parameters
    ----------
    histories : Collection[TaskHistory]
        Every task of the run.
    queued : datetime or None
        When the run was queued the last time: at its creation, or when it was cleared the last time.
    counts_running : bool
        Whether this Airflow counts the clearing of a run that goes on: since 3.2.

    Returns
    -------
    list[datetime]
        In their order.
    """
    traces = [trace for history in histories for trace in _earlier_traces(history)]
    traces += _latest_traces(histories)
    if queued is not None and queued > _first_sign(histories) + CREATION:
        traces.append(_Trace(queued - SLACK, queued + SLACK))
    moments: list[tuple[datetime, set[tuple[str, int]]]] = []
    for trace in sorted(traces, key=lambda each: each.end):
        if not moments or trace.begin > moments[-1][0]:
            moments.append((trace.end, set()))
        moments[-1][1].update(trace.tasks)
    if counts_running:
        return [moment for moment, _ in moments]
    # A moment without tasks is that of the run itself, which is queued again only if it had ended.
    return [moment for moment, tasks in moments if not tasks or not _is_going(histories, moment, tasks)]


def _first_sign(histories: Collection[TaskHistory]) -> datetime:
    """Return the earliest time that Airflow gives for the tasks of a run."""
    times = {history.latest.made for history in histories} | {
        attempt.start for history in histories for attempt in history.attempts
    }
    return min((moment for moment in times if moment is not None), default=NEVER)


def _earlier_traces(history: TaskHistory) -> list[_Trace]:
    """Return when a task was cleared, but for the time before its latest attempt."""
    found = []
    for before, after in pairwise(history.attempts):
        begun = after.scheduled or after.start
        if after is not history.latest and _is_cleared_between(before, after) and begun is not None:
            begin = _earliest_clearing(before, begun) or before.end or before.start or LONG_AGO
            found.append(_Trace(begin - SLACK if begin > LONG_AGO else begin, begun, frozenset({_task(after)})))
    return found


def _latest_traces(histories: Collection[TaskHistory]) -> list[_Trace]:
    """Return when tasks were cleared before their latest attempts: the ids of those say it to the millisecond."""
    made = sorted((history.latest.made, index) for index, history in enumerate(histories) if history.latest.made)
    ordered = list(histories)
    groups: list[list[tuple[datetime, int]]] = []
    for moment, index in made:
        if groups and moment - groups[-1][-1][0] <= SLACK:
            groups[-1].append((moment, index))
        else:
            groups.append([(moment, index)])
    found = []
    for number, group in enumerate(groups):
        cleared = []
        for moment, index in group:
            history = ordered[index]
            if not _is_cleared(history, is_later=number > 0):
                continue
            if history.earlier and (begin := _earliest_clearing(history.earlier[-1], moment)) is not None:
                found.append(_Trace(begin - SLACK, moment + SLACK, frozenset({_task(history.latest)})))
            else:
                cleared.append(index)
        if cleared:
            tasks = frozenset(_task(ordered[index].latest) for index in cleared)
            found.append(_Trace(group[0][0] - SLACK, group[-1][0] + SLACK, tasks))
    return found


def _earliest_clearing(before: Attempt, moment: datetime) -> datetime | None:
    """Return since when an attempt may have been cleared, if it ran until Airflow prepared the next one; else None."""
    is_ended_by_it = before.end is None or abs(moment - before.end) <= ENDING
    return before.start if is_ended_by_it else None


def _is_cleared(history: TaskHistory, *, is_later: bool) -> bool:
    """Return whether the id of a latest attempt is of a clearing; `is_later` if the run had tasks before that time."""
    if history.earlier:
        return _is_cleared_between(history.earlier[-1], history.latest)
    return is_later and history.latest.try_number <= 1


def _is_cleared_between(before: Attempt, after: Attempt) -> bool:
    return before.try_number == 0 or before.max_tries != after.max_tries


def _is_going(histories: Collection[TaskHistory], moment: datetime, cleared: Collection[tuple[str, int]]) -> bool:
    """Return whether a run went on when some of its tasks were cleared: another task ran, or was still to run."""
    for history in histories:
        if _task(history.latest) in cleared:
            continue
        for attempt in history.attempts:
            if attempt.start is not None and attempt.start <= moment and (attempt.end is None or attempt.end > moment):
                return True
        later = [attempt for attempt in history.attempts if attempt.start is not None and attempt.start > moment]
        sooner = [attempt for attempt in history.attempts if attempt not in later and attempt.try_number > 0]
        if later and not (sooner and _is_cleared_between(sooner[-1], later[0])):
            return True
    return False


def _task(attempt: Attempt) -> tuple[str, int]:
    return attempt.task_id, attempt.map_index
