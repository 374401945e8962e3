"""The grace periods of runner and task, which live in two distributions."""

from __future__ import annotations

from dkist_airflow_node.worker.runner.signals import STOP_GRACE_SECONDS
from dkist_task.grace import CLOSE_SECONDS, PROMISE_SECONDS, longest_stop


def test_a_stopped_task_sends_its_spans_before_sigkill() -> None:
    """Python's patience, its closing and its end fit into the time that the runner gives."""
    assert CLOSE_SECONDS < PROMISE_SECONDS
    assert longest_stop() < STOP_GRACE_SECONDS
