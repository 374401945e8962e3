"""What is read from a callback's context."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dkist_airflow_node.messages.failed_task import MAXIMUM_TEXT, failed_tasks, named_task
from tests.dkist_airflow_node.messages.airflow_context import RUN_AFTER, Instance, dag_context, task_context


def test_facts_of_a_worker() -> None:
    """A task's own callback knows every member of the message."""
    message = named_task(task_context()).message(workflow_name="vbi_l0", workflow_version="1.0.0")
    assert (message.task_name, message.dag_run_id, message.try_number) == ("Calibrate", "r1", 1)
    assert (message.recipe_run_id, message.reason) == (7, "ValueError: no flats")
    assert (message.source, message.host) == ("worker", socket.gethostname())
    assert message.time is not None
    assert abs(datetime.now(UTC) - datetime.fromisoformat(message.time)) < timedelta(minutes=1)
    assert message.log_url == "http://airflow/dags/vbi_l0_1.0.0/runs/r1/tasks/Calibrate?try_number=1"


def test_both_callbacks_give_one_key() -> None:
    """The DAG's callback gives each task the key that the task's own callback gives it."""
    states = {"Calibrate": "failed", "Write": "upstream_failed", "Parse": "failed", "m_0": "success", "m_11": "failed"}
    reported = {task.task_id: task for task in failed_tasks(dag_context(), states)}
    assert {task.source for task in reported.values()} == {"dag-processor"}
    assert set(reported) == {"Calibrate", "Parse", "m"}
    for name, map_index in (("Calibrate", -1), ("Parse", -1), ("m", 11)):
        own = named_task(task_context(Instance(name, map_index=map_index, try_number=3)))
        assert reported[name].idempotency_key == own.idempotency_key
    assert reported["Parse"].try_number is None
    assert reported["Parse"].log_url == "http://airflow/dags/vbi_l0_1.0.0/runs/r1/tasks/Parse"
    assert reported["m"].log_url == "http://airflow/dags/vbi_l0_1.0.0/runs/r1/tasks/m/mapped/11"


def test_each_failure_has_its_own_key() -> None:
    """Another task, run, DAG, instance of a mapped task, clearing, or run of the same id made later has another key."""
    run_again = SimpleNamespace(run_after=RUN_AFTER + timedelta(hours=1), clear_number=0)
    contexts = [
        task_context(),
        task_context(Instance("Write")),
        task_context(Instance(run_id="r2")),
        task_context(Instance(dag_id="vbi_l0_2.0.0")),
        task_context(Instance(map_index=0)),
        task_context(clear_number=1),
        task_context(dag_run=run_again),
    ]
    assert len({named_task(context).idempotency_key for context in contexts}) == len(contexts)


def test_key_is_the_same_in_another_time_zone() -> None:
    """A worker may hold the run's time in another time zone than the dag-processor."""
    here = RUN_AFTER.astimezone(timezone(timedelta(hours=-10)))
    elsewhere = task_context(dag_run=SimpleNamespace(run_after=here, clear_number=0))
    assert named_task(elsewhere).idempotency_key == named_task(task_context()).idempotency_key


def test_only_failed_tasks_are_reported() -> None:
    """Tasks that will be retried, never ran because of another, or were skipped are no failures."""
    states = {"Calibrate": "failed", "a": "up_for_retry", "b": "upstream_failed", "c": "skipped", "d": None}
    assert [task.task_id for task in failed_tasks(dag_context(), states)] == ["Calibrate"]


def test_states_may_be_members_of_an_enumeration() -> None:
    """Airflow's TaskInstanceState is taken as well as its value."""
    states = {"Parse": SimpleNamespace(value="failed")}
    assert [task.task_id for task in failed_tasks(dag_context(), states)] == ["Calibrate", "Parse"]


def test_a_run_without_a_named_task_is_reported_as_a_whole() -> None:
    """A run may fail without a failed task; then the message has no task."""
    context = {"dag": SimpleNamespace(dag_id="d"), "run_id": "r", "reason": "all_tasks_deadlocked"}
    (failed,) = failed_tasks(context, {})
    assert (failed.task_id, failed.run_id, failed.reason) == (None, "r", "all_tasks_deadlocked")
    assert [task.task_id for task in failed_tasks(context, {"Parse": "failed"})] == ["Parse"]


@pytest.mark.parametrize("state", ["success", "upstream_failed"])
def test_a_task_that_has_not_failed_may_be_named(state: str) -> None:
    """Before 3.2 Airflow names the last task of the run, whatever became of it."""
    assert [task.task_id for task in failed_tasks(dag_context(), {"Calibrate": state, "Parse": "failed"})] == ["Parse"]
    assert [task.task_id for task in failed_tasks(dag_context(), {"Calibrate": state})] == [None]


@pytest.mark.parametrize("missing", sorted(task_context()))
def test_any_key_may_be_missing(missing: str) -> None:
    """A context without one of its keys still makes a message."""
    context = task_context()
    del context[missing]
    assert named_task(context).message(workflow_name="w", workflow_version="1").to_json()


def test_properties_may_raise() -> None:
    """Airflow computes some attributes; one that raises is a fact that is missing."""

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    context = {"ti": Broken(), "dag_run": Broken(), "dag": Broken(), "exception": None}
    assert named_task(context).task_id is None


def test_text_is_bounded_and_decodable() -> None:
    """An exception's text may be a whole log, and hold what cannot be encoded."""

    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    reason = named_task(task_context(exception=ValueError("\udcff" + "x" * 10**6))).reason
    assert reason is not None
    assert len(reason) == MAXIMUM_TEXT
    assert "\\udcff" in reason
    assert named_task(task_context(exception=UnprintableError())).reason == "UnprintableError"


@pytest.mark.parametrize(("value", "expected"), [(7, 7), ("7", 7), (None, None), ("x", None), ([], None)])
def test_recipe_run_id_is_a_number_or_unknown(value: object, expected: int | None) -> None:
    """Anything but a number is left out."""
    assert named_task(task_context(params={"recipe_run_id": value})).recipe_run_id == expected


def test_how_long_and_with_what(tmp_path: Path) -> None:
    """The attempt, its limit and duration, and what it ran in; another task of the run has its own environment."""
    now = datetime.now(UTC)
    operators = {name: SimpleNamespace(variables={"DKIST_LOCK_SHA256": name}) for name in ("Calibrate", "Write")}
    (tmp_path / "manifest.json").write_text('{"distribution": "dkist-x", "version": "2.1.0"}')
    dag = SimpleNamespace(dag_id="d", task_ids=list(operators), task_dict=operators, fileloc=str(tmp_path / "d.py"))
    instance = Instance(try_number=2, max_tries=1)
    instance.start_date = now - timedelta(seconds=60)  # type: ignore[attr-defined]
    task = named_task(task_context(instance, dag=dag, task=operators["Calibrate"]))
    assert task.duration_seconds == pytest.approx(60, abs=20)  # on the worker it has just ended
    assert (task.max_tries, task.distribution, task.environment) == (2, "dkist-x 2.1.0", "Calibrate")
    message = task.message(workflow_name="d", workflow_version="1")
    assert (message.max_tries, message.distribution, message.environment) == (2, "dkist-x 2.1.0", "Calibrate")
    context = dag_context(instance, dag=dag, task=operators["Calibrate"])
    named, other = failed_tasks(context, {"Calibrate": "failed", "Write": "failed"})
    assert named.duration_seconds is None  # in the dag-processor its end is not known
    assert named.max_tries is None  # there Airflow hands out a 0, and the alert would say "Attempt 2 of 1"
    assert (other.task_id, other.environment, other.distribution) == ("Write", "Write", "dkist-x 2.1.0")
    assert (other.max_tries, other.duration_seconds, other.try_number) == (None, None, None)
    instance.end_date = instance.start_date + timedelta(seconds=1.5)  # type: ignore[attr-defined]
    assert named_task(context).duration_seconds == 1.5
