"""How often a run has been cleared, from the traces in its tasks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dkist_airflow_node.site.clearing import TaskHistory, clearings
from dkist_airflow_node.site.run import Attempt

BEGIN = datetime(2026, 11, 24, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return a time after the creation of the run."""
    return BEGIN + timedelta(seconds=seconds)


def attempt(task: str, number: int = 1, **members: Any) -> Attempt:
    """Return an attempt; `made`, `start`, `end` and `scheduled` in seconds after the creation of the run."""
    times = {"made": 0.0, "scheduled": None, "start": None, "end": None, **members}
    max_tries = times.pop("max_tries", 0)
    return Attempt(
        dag_id="d",
        run_id="r",
        task_id=task,
        map_index=-1,
        state="failed",
        try_number=number,
        max_tries=max_tries,
        queue=None,
        hostname="h",
        **{name: None if value is None else at(value) for name, value in times.items()},
    )


def count(*histories: TaskHistory, queued: float = 0, counts_running: bool = True) -> int:
    """Return how many clearings are seen."""
    return len(clearings(histories, at(queued), counts_running=counts_running))


def test_a_run_that_was_never_cleared() -> None:
    """Retries give a task new ids too, but no more attempts."""
    retried = TaskHistory(
        attempt("A", 2, max_tries=1, made=30, scheduled=30, start=31, end=40),
        [attempt("A", 1, max_tries=1, made=None, scheduled=1, start=2, end=20)],
    )
    assert count(retried, TaskHistory(attempt("B", 0)), TaskHistory(attempt("C", 1, start=1, end=2))) == 0


def test_a_run_that_was_cleared_as_a_whole() -> None:
    """One clearing leaves a trace in each task and counts once, also where a task had not begun."""
    failed = TaskHistory(
        attempt("A", 2, max_tries=1, made=100, scheduled=101, start=102, end=110),
        [attempt("A", 1, made=None, scheduled=1, start=2, end=20)],
    )
    assert count(failed, TaskHistory(attempt("B", 0, made=100.01)), queued=100.02) == 1


def test_tasks_that_were_cleared_one_after_the_other() -> None:
    """Two ids that were made at different times are two clearings."""
    first = TaskHistory(
        attempt("A", 2, max_tries=1, made=100, scheduled=101, start=102, end=110),
        [attempt("A", 1, made=None, scheduled=1, start=2, end=20)],
    )
    second = TaskHistory(
        attempt("B", 2, max_tries=1, made=200, scheduled=201, start=202, end=210),
        [attempt("B", 1, made=None, scheduled=1, start=2, end=20)],
    )
    assert count(first, second, queued=200) == 2


def test_tasks_that_were_cleared_while_they_ran() -> None:
    """One clearing; each gets its new id when its own process has ended, seconds apart."""
    quick, slow = (
        TaskHistory(
            attempt(task, 2, max_tries=1, made=end + 0.1, scheduled=end + 1, start=end + 2, end=60),
            [attempt(task, 1, made=None, scheduled=1, start=2, end=end)],
        )
        for task, end in (("A", 30.0), ("B", 38.0))
    )
    assert count(quick, slow, queued=29) == 1
    again = TaskHistory(
        attempt("A", 3, max_tries=2, made=100, scheduled=101, start=102, end=110),
        [*quick.earlier, attempt("A", 2, max_tries=1, made=None, scheduled=31, start=32, end=60)],
    )
    assert count(again, slow, queued=100) == 2


def test_a_clearing_that_a_retry_has_hidden() -> None:
    """The id is of the retry, but the attempts that were allowed before it have grown; the run's own time helps."""
    first = TaskHistory(
        attempt("A", 2, max_tries=1, made=100, scheduled=101, start=102, end=110),
        [attempt("A", 1, made=None, scheduled=1, start=2, end=20)],
    )
    retried = TaskHistory(
        attempt("B", 4, max_tries=3, made=230, scheduled=231, start=232, end=240),
        [
            attempt("B", 1, max_tries=1, made=None, scheduled=1, start=2, end=20),
            attempt("B", 2, max_tries=1, made=None, scheduled=21, start=22, end=30),
            attempt("B", 3, max_tries=3, made=None, scheduled=201, start=202, end=210),
        ],
    )
    assert count(retried) == 1
    assert count(first, retried, queued=200) == 2


def test_only_a_task_that_never_began_was_cleared() -> None:
    """Its id is newer than those of the others."""
    assert count(TaskHistory(attempt("A", 1, start=1, end=2)), TaskHistory(attempt("B", 0, made=50)), queued=50) == 1


def test_a_run_that_went_on_when_it_was_cleared() -> None:
    """Airflow 3.0 and 3.1 do not count it."""
    cleared = TaskHistory(
        attempt("A", 2, max_tries=1, made=100, scheduled=101, start=102, end=110),
        [attempt("A", 1, made=None, scheduled=1, start=2, end=20)],
    )
    runs = TaskHistory(attempt("B", 1, start=2, end=150))
    to_run = TaskHistory(attempt("C", 1, start=120, end=150))
    ended = TaskHistory(attempt("D", 1, start=2, end=50))
    for other in (runs, to_run):
        assert count(cleared, other) == 1
        assert count(cleared, other, counts_running=False) == 0
    assert count(cleared, ended, counts_running=False, queued=100) == 1


def test_ids_without_a_time() -> None:
    """A site whose database has ids of another kind is counted by the attempts."""
    cleared = TaskHistory(
        attempt("A", 2, max_tries=1, made=None, scheduled=101, start=102, end=110),
        [attempt("A", 1, made=None, scheduled=1, start=2, end=20)],
    )
    assert count(cleared, queued=100) == 1
