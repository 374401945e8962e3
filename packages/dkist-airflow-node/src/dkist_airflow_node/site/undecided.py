"""Messages of tasks that were stopped while Airflow did not say whether that is a failure: Airflow is asked again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dkist_airflow_node.errors import MessageFormatError
from dkist_airflow_node.messages import FailureMessage, read_message
from dkist_airflow_node.site.run import run_if_there

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from pathlib import Path

    from dkist_airflow_node.messages import Spool
    from dkist_airflow_node.site.api import AirflowApi

logger = logging.getLogger(__name__)

ENDED = frozenset({"success", "failed"})
"""States of a run that has ended."""


@dataclass(frozen=True)
class Decisions:
    """What became of the undecided messages."""

    failed: int
    """How many report a failure that Airflow knows; they wait for the broker now."""
    deleted: int
    """How many do not."""


@dataclass(frozen=True)
class Undecided:
    """A message that nobody sends yet."""

    path: Path
    """Its file."""
    body: bytes
    """Its bytes."""
    message: FailureMessage
    """What it says."""


def undecided_messages(spool: Spool) -> list[Undecided]:
    """Return the undecided messages of a spool, oldest first. Files that hold no message are passed over."""
    found = []
    for path in spool.undecided.paths():
        try:
            body = read_message(path)
        except MessageFormatError as error:
            logger.warning("%s is passed over: %s", path, error)
        else:
            found.append(Undecided(path, body, FailureMessage.from_json(body)))
    return found


def decide(
    api: AirflowApi,
    spool: Spool,
    undecided: Collection[Undecided],
    failures: Collection[str],
    *,
    asked: datetime,
    is_dry: bool,
) -> Decisions:
    """Let the messages of failures be sent, and delete those whose run has ended without the failure.

    Those of runs that go on stay undecided. A deleted one loses nothing: if Airflow records the failure after all, the
    reconciliation itself reports it.

    Parameters
    ----------
    api : AirflowApi
        The connection to Airflow.
    spool : Spool
        Where messages wait.
    undecided : Collection[Undecided]
        The messages.
    failures : Collection[str]
        Every key of every failure that Airflow knows.
    asked : datetime
        When Airflow was asked for the failures. A run that has ended since is left for the next time.
    is_dry : bool
        Whether to write nothing.

    Returns
    -------
    Decisions
        What was done.
    """
    failed = [each for each in undecided if each.message.idempotency_key in failures]
    others = [each for each in undecided if each.message.idempotency_key not in failures]
    deleted = [each for each in others if _has_ended(api, each.message, asked)]
    if not is_dry:
        for each in failed:
            spool.add(each.body)
        for each in (*failed, *deleted):
            each.path.unlink(missing_ok=True)
    return Decisions(len(failed), len(deleted))


def _has_ended(api: AirflowApi, message: FailureMessage, asked: datetime) -> bool:
    """Return whether the run of a message has ended before Airflow was asked, or is gone."""
    dag_id = f"{message.workflow_name}_{message.workflow_version}"
    run = run_if_there(api, dag_id, str(message.dag_run_id))
    if run is None:
        return True
    return run.state in ENDED and run.end is not None and run.end < asked
