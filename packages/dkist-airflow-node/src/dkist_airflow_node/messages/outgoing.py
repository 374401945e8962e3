"""The failures that one callback reports: spooled at once, then published."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from dkist_airflow_node.errors import BusSettingsError, MessageError, SpoolError
from dkist_airflow_node.messages.outbox import Pause, publish_waiting
from dkist_airflow_node.messages.settings import DEADLINE_SECONDS, bus_settings, deadline_seconds
from dkist_airflow_node.messages.spool import Spool, spool_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dkist_airflow_node.messages.failed_task import FailedTask

logger = logging.getLogger(__name__)


class Outgoing:
    """The failures that one callback reports.

    Parameters
    ----------
    workflow_name, workflow_version : str
        The workflow that the DAG was exported from.
    """

    def __init__(self, workflow_name: str, workflow_version: str) -> None:
        self._workflow_name, self._workflow_version = workflow_name, workflow_version
        self._spooled: dict[FailedTask, Path] = {}
        self._held: dict[FailedTask, int] = {}
        self._undecided: dict[FailedTask, Path] = {}
        self._unspooled: dict[FailedTask, bytes] = {}
        self._spool = _spool()

    def add(self, task: FailedTask) -> None:
        """Spool a message that reports a failure, once. If that is not possible, remember it until `publish`.

        Other processes of this host publish what waits in the spool, but not this message before `release`.
        """
        if task in self._spooled or task in self._unspooled:
            return
        body = task.message(workflow_name=self._workflow_name, workflow_version=self._workflow_version).to_json()
        if self._spool is not None:
            try:
                self._spooled[task], self._held[task] = self._spool.add_held(body)
            except SpoolError as error:
                logger.error("%s", error)
            else:
                if (undecided := self._undecided.pop(task, None)) is not None:
                    undecided.unlink(missing_ok=True)
                return
        self._unspooled[task] = body

    def add_undecided(self, task: FailedTask) -> None:
        """Keep a message that is sent only if Airflow says that the task has failed.

        `add` sends it, `remove` drops it. If neither is called, ``messages reconcile`` asks Airflow and decides.
        """
        body = task.message(workflow_name=self._workflow_name, workflow_version=self._workflow_version).to_json()
        try:
            if self._spool is not None:
                self._undecided[task] = self._spool.undecided.add(body)
        except SpoolError as error:
            logger.error("%s", error)
        if task not in self._undecided:
            self.add(task)  # one message too many is better than one that is lost

    def remove(self, task: FailedTask) -> None:
        """Remove a message again: its task has not failed."""
        self._unspooled.pop(task, None)
        for path in (self._spooled.pop(task, None), self._undecided.pop(task, None)):
            if path is not None:
                path.unlink(missing_ok=True)
        if (descriptor := self._held.pop(task, None)) is not None:
            os.close(descriptor)

    def release(self) -> None:
        """Let whoever publishes first send the messages: it is known by now that their tasks have failed."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def publish(self) -> None:
        """Try to publish everything that waits on this host, and log the result for this callback's messages."""
        if not self._spooled and not self._unspooled:
            return
        try:
            settings = bus_settings(os.environ)
        except BusSettingsError as error:
            self._log(error, {})
            return
        remaining = Pause(self._spool.folder, settings).remaining_seconds() if self._spool else 0
        if remaining and not self._unspooled:
            self._log(MessageError(f"broker {settings.address} is not tried again for {remaining:.0f} s"), {})
            return
        seconds = _deadline_seconds()
        bodies = tuple(self._unspooled.values())
        delivery = publish_waiting(settings, self._spool, seconds=seconds, total_seconds=seconds, unspooled=bodies)
        published = {settled.message for settled in delivery.settled if settled.refusal is None}
        self._unspooled = {task: body for task, body in self._unspooled.items() if body not in published}
        self._log(delivery.fault, delivery.refusals)

    def _log(self, fault: MessageError | None, refusals: Mapping[Path | bytes, MessageError]) -> None:
        for task, path in self._spooled.items():
            if path in refusals:
                continue  # it was logged when it was set aside
            which = (task.task_id, task.run_id, task.idempotency_key)
            if not path.exists():
                logger.info("Failure message of task %r of run %r published (key %s)", *which)
                continue
            logger.warning(
                "Failure message of task %r of run %r (key %s) waits in %s: %s. "
                "The next failure on this host publishes it, or: dkist-airflow-node messages resend",
                *which,
                path.parent,
                fault or "older messages come first, or another process is publishing it",
            )
        for body in self._unspooled.values():
            logger.error(
                "Failure message neither spooled nor published (%s): %s", refusals.get(body, fault), body.decode()
            )


def _spool() -> Spool | None:
    try:
        return Spool(spool_folder(os.environ))
    except SpoolError as error:
        logger.error("Failure messages cannot be spooled on this host: %s", error)
        return None


def _deadline_seconds() -> float:
    try:
        return deadline_seconds(os.environ)
    except BusSettingsError as error:
        logger.warning("%s; the deadline is %s s", error, DEADLINE_SECONDS)
        return DEADLINE_SECONDS
