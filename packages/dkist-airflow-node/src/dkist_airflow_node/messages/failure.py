"""The failure callback of every exported DAG: keep a message of each failed task, then try to send what is kept."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dkist_airflow_node.messages import airflow_run
from dkist_airflow_node.messages.deadline import Watched
from dkist_airflow_node.messages.failed_task import (
    FailedTask,
    clearings,
    failed_tasks,
    is_dag_callback,
    is_worker_callback,
    named_task,
    whole_run,
)
from dkist_airflow_node.messages.message import MessageError
from dkist_airflow_node.messages.outbox import Pause, send_waiting
from dkist_airflow_node.messages.settings import DEADLINE_SECONDS, BusSettingsError, bus_settings, deadline_seconds
from dkist_airflow_node.messages.spool import Spool, SpoolError, spool_folder

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

NO_FAILURE = frozenset({"success", "restarting"})
"""States in which Airflow ends a task and calls back though nothing has failed: marked success, or cleared, by hand."""

ANSWER_SECONDS = 2.0
"""How long a worker waits for Airflow's answers: it is killed 5 s after SIGTERM, and has to publish."""


def publish_failure(context: Any, *, workflow_name: str, workflow_version: str) -> None:
    """Tell the message bus of the failed tasks that an Airflow callback is about.

    Kept in the spool before the broker is asked for anything, so that whatever happens from then on, to the broker or
    to this process, loses no message. Never raises, and publishes no longer than its deadline.

    Parameters
    ----------
    context
        What Airflow passes to ``on_failure_callback``, of a task or of the DAG.
    workflow_name
        Of the workflow that the DAG was exported from.
    workflow_version
        Its version.
    """
    try:
        outgoing = _Outgoing(workflow_name, workflow_version)
        outgoing.keep_failures_of(context if isinstance(context, Mapping) else {})
        outgoing.send()
    except Exception:  # Airflow has a failure of its own to deal with
        # No exc_info: some log formatters would print local variables.
        logger.error("A failure message may not have been sent: %s", traceback.format_exc())


class _Outgoing:
    """The messages of one callback."""

    def __init__(self, workflow_name: str, workflow_version: str) -> None:
        self._workflow_name, self._workflow_version = workflow_name, workflow_version
        self._kept: dict[FailedTask, Path] = {}
        self._unkept: dict[FailedTask, bytes] = {}
        self._spool: Spool | None = None
        try:
            self._spool = Spool(spool_folder(os.environ))
        except SpoolError as error:
            logger.error("Failure messages cannot be kept on this host: %s", error)

    def keep_failures_of(self, context: Mapping[str, Any]) -> None:
        """Keep what the context says, at once; then ask Airflow for more."""
        task = named_task(context)
        if is_dag_callback(context):
            if task.task_id is not None:
                self._keep(task)
            states = airflow_run.task_states(context.get("ti"), dag_id=task.dag_id, run_id=task.run_id)
            failed = failed_tasks(context, states)
            if not states and not airflow_run.names_the_failed_task():
                failed = [whole_run(task)]
            for each in failed:
                self._keep(each)
            if task not in failed:
                self._drop(task)
            return
        self._keep(task)
        if is_worker_callback(context):
            self._correct(task, context)

    def send(self) -> None:
        """Try to send everything that waits on this host."""
        if not self._kept and not self._unkept:
            return
        try:
            seconds = deadline_seconds(os.environ)
        except BusSettingsError as error:
            logger.warning("%s; %s s are used", error, DEADLINE_SECONDS)
            seconds = DEADLINE_SECONDS
        try:
            settings = bus_settings(os.environ)
        except BusSettingsError as error:
            self._report(error)
            return
        remaining = Pause(self._spool.folder, settings).remaining_seconds() if self._spool else 0
        if remaining and not self._unkept:
            self._report(MessageError(f"broker {settings.address} is not tried again for {remaining:.0f} s"))
            return
        delivery = send_waiting(
            settings, self._spool, seconds=seconds, total_seconds=seconds, extra=tuple(self._unkept.values())
        )
        for task in list(self._unkept)[: delivery.sent]:
            del self._unkept[task]
        self._report(delivery.fault)

    def _keep(self, task: FailedTask) -> None:
        if task in self._kept or task in self._unkept:
            return
        body = task.message(workflow_name=self._workflow_name, workflow_version=self._workflow_version).to_json()
        if self._spool is not None:
            try:
                self._kept[task] = self._spool.add(body)
            except SpoolError as error:
                logger.error("%s", error)
            else:
                return
        self._unkept[task] = body

    def _correct(self, task: FailedTask, context: Mapping[str, Any]) -> None:
        """Ask Airflow what has become of the task and its run since the task started."""

        def ask() -> Iterator[Any]:
            yield airflow_run.task_states(context.get("ti"), dag_id=task.dag_id, run_id=task.run_id).get(task.label)
            yield airflow_run.clear_number(dag_id=task.dag_id, run_id=task.run_id)

        try:
            state, number = Watched(ask(), seconds=ANSWER_SECONDS, total_seconds=ANSWER_SECONDS)
        except TimeoutError:
            logger.warning("Airflow does not tell what has become of run %r within %s s", task.run_id, ANSWER_SECONDS)
            return
        if str(getattr(state, "value", state)) in NO_FAILURE:
            logger.info("No failure message: task %r was ended by hand (%s)", task.task_id, state)
            self._drop(task)
            return
        if number is None and task.clear_number == 0:
            # Before 3.2 the run's number does not grow while the run goes on: the second failure must not have the
            # key of the first.
            number = -clearings(context)
        if number is not None and number != task.clear_number:
            self._keep(replace(task, clear_number=number))
            self._drop(task)

    def _drop(self, task: FailedTask) -> None:
        self._unkept.pop(task, None)
        if path := self._kept.pop(task, None):
            path.unlink(missing_ok=True)

    def _report(self, fault: MessageError | None) -> None:
        for task, path in self._kept.items():
            told = (task.task_id, task.run_id, task.idempotency_key)
            if not path.exists():
                logger.info("Failure message of task %r of run %r sent (key %s)", *told)
            else:
                why = fault or "older messages come first, or another process is sending it"
                logger.warning(
                    "Failure message of task %r of run %r (key %s) waits in %s: %s. The next failure on this host "
                    "sends it, or: dkist-airflow-node messages resend",
                    *told,
                    path.parent,
                    why,
                )
        for body in self._unkept.values():
            logger.error("Failure message neither kept nor sent (%s): %s", fault, body.decode())
