"""The failure callback of every exported DAG: spool a message of each failed task, then publish what waits."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from dkist_airflow_node.messages import airflow_run
from dkist_airflow_node.messages.deadline import Watched
from dkist_airflow_node.messages.failed_task import (
    FailedTask,
    attempts_before_clearing,
    failed_tasks,
    is_dag_callback,
    is_stopped,
    is_worker_callback,
    named_task,
    whole_run,
)
from dkist_airflow_node.messages.outgoing import Outgoing

logger = logging.getLogger(__name__)

NO_FAILURE = frozenset({"success", "restarting"})
"""States in which Airflow runs the callback although nothing has failed: the task was marked as success, or cleared."""

FAILURE = frozenset({"failed", "running", "skipped"})
"""States of a stopped task that has failed: it was marked, its worker was shut down, or its run took too long."""

ANSWER_SECONDS = 2.0
"""How long a worker waits for Airflow's answers: it is killed 5 s after SIGTERM, and still has to publish."""


def publish_failure(context: Any, *, workflow_name: str, workflow_version: str) -> None:
    """Report the failed tasks of an Airflow callback on the message bus.

    Each message is spooled on this host before the broker is contacted, so whatever happens afterwards, to the broker
    or to this process, loses no message. Never raises. Publishing never takes longer than its deadline.

    Parameters
    ----------
    context : Any
        What Airflow passes to ``on_failure_callback``, of a task or of the DAG.
    workflow_name, workflow_version : str
        The workflow that the DAG was exported from.
    """
    try:
        outgoing = Outgoing(workflow_name, workflow_version)
        try:
            _add_failures(outgoing, context if isinstance(context, Mapping) else {})
        finally:
            outgoing.release()
        outgoing.publish()
    except Exception:  # Airflow has a failure of its own to handle
        # No exc_info: some log formatters would print local variables.
        logger.error("A failure message may not have been published: %s", traceback.format_exc())


def _add_failures(outgoing: Outgoing, context: Mapping[str, Any]) -> None:
    """Spool what the context says at once; then ask Airflow for more."""
    task = named_task(context)
    if not is_dag_callback(context):
        if is_stopped(context):
            outgoing.add_undecided(task)
        else:
            outgoing.add(task)
        if is_worker_callback(context):
            _correct(outgoing, task, context)
        return
    if task.task_id is not None:
        outgoing.add(task)
    states = airflow_run.task_states(context.get("ti"), dag_id=task.dag_id, run_id=task.run_id)
    failed = failed_tasks(context, states)
    if not states and not airflow_run.names_the_failed_task():
        failed = [whole_run(task)]
    for each in failed:
        outgoing.add(each)
    if task not in failed:
        outgoing.remove(task)


def _correct(outgoing: Outgoing, task: FailedTask, context: Mapping[str, Any]) -> None:
    """Ask Airflow what happened to a task and its run since the task started."""

    def ask() -> Iterator[Any]:
        yield airflow_run.task_states(context.get("ti"), dag_id=task.dag_id, run_id=task.run_id).get(task.label)
        yield airflow_run.clear_number(dag_id=task.dag_id, run_id=task.run_id)

    answers: list[Any] = []
    try:
        answers.extend(Watched(ask(), seconds=ANSWER_SECONDS, total_seconds=ANSWER_SECONDS))
    except TimeoutError:
        logger.warning("Airflow does not return the state of run %r within %s s", task.run_id, ANSWER_SECONDS)
    state = str(getattr(answers[0], "value", answers[0])) if answers else "unknown"
    if state in NO_FAILURE:
        logger.info("No failure message: task %r was marked as success or cleared (%s)", task.task_id, state)
        outgoing.remove(task)
        return
    if is_stopped(context):
        if state not in FAILURE:
            logger.warning(
                "Task %r was stopped, and its state in Airflow (%s) does not say whether that is a failure: "
                "'dkist-airflow-node messages reconcile' asks again, and then sends its message or deletes it",
                task.task_id,
                state,
            )
            return
        outgoing.add(task)
    if len(answers) < 2:
        return
    number = answers[1]
    if number is None and task.clear_number == 0:
        # Before 3.2 the run's number does not grow while the run goes on: give the second failure a key of its own.
        number = -attempts_before_clearing(context)
    if number is not None and number != task.clear_number:
        outgoing.add(replace(task, clear_number=number))
        outgoing.remove(task)
