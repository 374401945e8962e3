"""Failures that Airflow's scheduler and API server hear of: looked at in their loop, spooled by a thread.

A sync to disk takes longer than the scheduler's loop may wait, so the loop only looks (`airflow_row`) and goes on. The
thread writes each message to the spool and sends none: what sends the spool of this host sends it.
"""

from __future__ import annotations

import _thread
import atexit
import logging
import os
import time
import traceback
from collections import OrderedDict, deque
from typing import Any

from dkist_airflow_node.errors import SpoolError
from dkist_airflow_node.messages.airflow_row import Failures, failure_of_task, failures_of_run, is_row
from dkist_airflow_node.messages.spool import Spool, spool_folder

logger = logging.getLogger(__name__)

EXIT_SECONDS = 2.0
"""How long the end of the process waits for messages that are not on disk yet."""

PERIOD_SECONDS = 0.1
"""How often the thread looks for failures: the longest time that one is in memory only."""

REMEMBERED = 10_000
"""How many failures are remembered: Airflow reports one mark by hand through the task and through the run."""


def hear_failed_task(instance: Any, error: Any) -> None:
    """Have the failure of a task spooled. Never raises.

    Parameters
    ----------
    instance, error : Any
        What Airflow passes to ``on_task_instance_failed``. Nothing is done in the task's own process, whose failure
        callback knows more.
    """
    _hear(failure_of_task, instance, error)


def hear_failed_run(run: Any, message: Any) -> None:
    """Have the failures of a run spooled. Never raises.

    Parameters
    ----------
    run, message : Any
        What Airflow passes to ``on_dag_run_failed``.
    """
    _hear(failures_of_run, run, message)


def _hear(look: Any, row: Any, words: Any) -> None:
    try:
        if is_row(row) and (failures := look(row, words)) is not None:
            _writer.put(failures)
    except Exception:  # Airflow has something else to do
        # No exc_info: some log formatters would print local variables.
        logger.error("A failure may have been missed: %s", traceback.format_exc())


class Writer:
    """A thread that writes failures to the spool. It begins with the first one.

    The thread looks for work by itself: waking it may cost the caller its place on a busy processor (17 ms were seen).
    """

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Forget the parent's thread and its work: this is a forked process, a task of the LocalExecutor for one."""
        self._waiting: deque[Failures] = deque()
        self._has_begun = False
        self._written: OrderedDict[tuple[str, int | None], None] = OrderedDict()

    def put(self, failures: Failures) -> None:
        """Have failures written, and return at once."""
        self._waiting.append(failures)
        if not self._has_begun:
            self._has_begun = True
            _thread.start_new_thread(self._run, ())  # `threading.Thread.start` would wait for the thread
            atexit.register(self.wait, EXIT_SECONDS)

    def wait(self, seconds: float) -> bool:
        """Wait until everything is written, but not for ever; return whether it is."""
        end = time.monotonic() + seconds
        while self._waiting and time.monotonic() < end:
            time.sleep(PERIOD_SECONDS / 10)
        return not self._waiting

    def _run(self) -> None:
        while True:
            while self._waiting:
                try:
                    self._write(self._waiting[0])
                except Exception:  # the next failure must still be written
                    logger.error("A failure message may not have been spooled: %s", traceback.format_exc())
                self._waiting.popleft()  # not before: `wait` looks whether any are left
            time.sleep(PERIOD_SECONDS)

    def _write(self, failures: Failures) -> None:
        name, version = failures.workflow
        for task in failures.tasks:
            identity = (task.idempotency_key, task.try_number)
            if identity in self._written:
                continue
            body = task.message(workflow_name=name, workflow_version=version).to_json()
            try:
                path = Spool(spool_folder(os.environ)).add(body)
            except SpoolError as error:
                logger.error("Failure message neither spooled nor published (%s): %s", error, body.decode())
                continue
            which = (task.task_id, task.run_id, task.idempotency_key)
            logger.info("Failure message of task %r of run %r (key %s) waits in %s", *which, path.parent)
            self._written[identity] = None
            if len(self._written) > REMEMBERED:
                self._written.popitem(last=False)


_writer = Writer()
os.register_at_fork(after_in_child=_writer.start_anew)
