"""The comparison of failures and keys. A run of `harness.faults` itself is in `test_faults.py`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.fault_account import Failure, balance, failures_in

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLACE = ("fault_few_1.0.0", "fault-1", "Once0")


def failure(seconds: float, place: tuple[str, str, str | None] = PLACE) -> Failure:
    """Return a failure some seconds after noon."""
    return Failure(place, NOON + timedelta(seconds=seconds), "raise")


def message(
    key: str, seconds: float, place: tuple[str, str, str | None] = PLACE, attempt: int | None = None
) -> dict[str, Any]:
    """Return a message that was made some seconds after noon."""
    name, _, version = place[0].rpartition("_")
    time = (NOON + timedelta(seconds=seconds)).isoformat()
    return {
        "workflowName": name,
        "workflowVersion": version,
        "dagRunId": place[1],
        "taskName": place[2],
        "idempotencyKey": key,
        "tryNumber": attempt,
        "time": time,
    }


def test_one_key_however_often_it_comes_is_one_failure() -> None:
    """Several messages of one key balance one failure."""
    found = balance([failure(0)], [message("a", 1), message("a", 20)])
    assert found.holds
    assert (found.keys, found.reported["raise"]) == (1, 1)


def test_a_failure_without_a_key_is_missing() -> None:
    """It is named."""
    lost = failure(0, ("fault_few_1.0.0", "fault-2", "Once0"))
    found = balance([failure(0), lost], [message("a", 1)])
    assert found.missing == [lost]
    assert not found.holds


def test_a_second_key_of_one_failure_is_surplus() -> None:
    """It is named, as is a key of a task that has not failed."""
    other = ("fault_few_1.0.0", "fault-2", None)
    found = balance([failure(0)], [message("a", 1), message("b", 2), message("c", 3, other)])
    assert sorted(found.surplus, key=str) == [(PLACE, "b"), (other, "c")]


def test_a_key_of_a_failure_that_airflow_forgot_is_not_surplus() -> None:
    """An attempt has failed by its own word; a second key of an attempt that Airflow knows is not excused."""
    second = replace(failure(60), attempt=2)
    queue = [message("a", 1, attempt=1), message("b", 61, attempt=2), message("c", 62, attempt=3)]
    found = balance([second], queue, {(PLACE, 1), (PLACE, 2)})
    assert (found.forgotten, found.surplus) == ([(PLACE, "a")], [(PLACE, "c")])
    assert not found.holds
    assert balance([], [message("a", 1, attempt=1)], {(PLACE, 1)}).holds
    twice = [message("a", 1, attempt=2), message("b", 2, attempt=2)]
    assert balance([second], twice, {(PLACE, 2)}).surplus == [(PLACE, "b")]
    run = ("fault_few_1.0.0", "fault-1", None)
    assert balance([], [message("a", 1, run)], {(run, None)}).holds


def test_the_attempt_says_more_than_the_time() -> None:
    """On a busy machine Airflow records a failure long after its message was made."""
    first, second = replace(failure(40), attempt=1), replace(failure(60), attempt=2)
    assert balance([first, second], [message("a", 1, attempt=1), message("b", 41, attempt=2)]).holds


def test_an_older_key_does_not_report_a_newer_failure() -> None:
    """A failure after a clearing needs a key of its own: a reader of the queue would drop the older one."""
    found = balance([failure(0), failure(60)], [message("a", 1)])
    assert found.missing == [failure(60)]
    assert balance([failure(60)], [message("a", 1)]).missing == [failure(60)]
    assert balance([failure(0), failure(60)], [message("a", 1), message("b", 61)]).holds


def test_rows_of_a_run_without_a_failed_task_are_one_failure_of_the_run() -> None:
    """A run that was marked before its tasks began has failed without one."""
    end = NOON.isoformat()
    row = {"dag_id": "d", "run_id": "r", "run_state": "failed", "run_end": end, "try_number": 0}
    tasks = [{**row, "task_id": task, "state": "skipped", "end": end} for task in ("A", "B")]
    assert failures_in(tasks, {("r", "A"): "mark-run"}) == [Failure(("d", "r", None), NOON, "mark-run")]
    tasks[0]["state"] = "failed"
    assert failures_in(tasks, {}) == [Failure(("d", "r", "A"), NOON, "other")]
