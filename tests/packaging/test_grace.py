"""The grace periods of a task and of what stops it, which live in three distributions."""

from __future__ import annotations

from dkist_airflow_node.dag.body import STOP_SECONDS
from dkist_airflow_node.worker.runner.signals import STOP_GRACE_SECONDS
from dkist_build_utils.local_run.guardian import GRACE_SECONDS
from dkist_task.grace import CLOSE_SECONDS, PROMISE_SECONDS, longest_stop


def test_a_stopped_task_sends_its_spans_before_sigkill() -> None:
    """Python's patience, its closing and its end fit into the time that the runner gives."""
    assert CLOSE_SECONDS < PROMISE_SECONDS
    assert longest_stop() < STOP_GRACE_SECONDS


def test_who_stops_a_task_waits_for_the_runner() -> None:
    """The operator waits longer than the runner, and a local run gives a task the time that a worker gives."""
    assert STOP_GRACE_SECONDS < STOP_SECONDS
    assert GRACE_SECONDS == STOP_GRACE_SECONDS
