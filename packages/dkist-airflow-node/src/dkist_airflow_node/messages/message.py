"""The failure message: what the bus carries when a task of a recipe run has failed for good."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum

from dkist_airflow_node.errors import MessageFormatError

MAXIMUM_BYTES = 64 * 1024
"""Longest body that is read from a file; a message made here has at most two thirds of it."""


class Source(StrEnum):
    """Which process reports a failure."""

    WORKER = "worker"
    """The task's own process: it knows the error."""

    DAG_PROCESSOR = "dag-processor"
    """Airflow's dag-processor: it knows that the task has failed, and rarely why."""

    LISTENER = "listener"
    """Our listener in Airflow's scheduler or API server: it knows that a task or a run was set to failed, not why."""

    RECONCILER = "reconciler"
    """``dkist-airflow-node messages reconcile``: it asks Airflow afterwards, and finds the error in the task's log."""


@dataclass(frozen=True)
class FailureMessage:
    """One final failure of one task, as published.

    Notes
    -----
    The fields are the members of the message, their names in camel case: a contract with the programs that read the
    queue. A member may be added here, with a default; then readers still take the messages of older versions.
    """

    workflow_name: str
    """Name of the workflow, `{process_category}_{process_name}`."""

    workflow_version: str
    """Version of the instrument package."""

    task_name: str | None
    """The task that failed; `null` in the rare case that a run fails and no task is known to have failed."""

    dag_run_id: str | None
    """Airflow's run id."""

    log_url: str | None
    """Page of the task's log, or `null`."""

    recipe_run_id: int | None = None
    """The recipe run, or `null` if it is not known."""

    try_number: int | None = None
    """The attempt that failed; `null` where only the DAG's callback reports the task."""

    reason: str | None = None
    """Type and text of the exception, or Airflow's word for the end of the run: `task_failure`, `timed_out`."""

    idempotency_key: str | None = None
    """**The same in every message about one failure**, different after the run is cleared."""

    conversation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Different in every message."""

    source: str | None = None
    """Who reports it: `worker` (knows the error), `dag-processor`, `listener` or `reconciler`; others may follow."""

    host: str | None = None
    """The host that reports the failure."""

    time: str | None = None
    """When the message was made: UTC, ISO 8601."""

    max_tries: int | None = None
    """How many attempts Airflow allows, or `null`."""

    duration_seconds: float | None = None
    """How long the attempt took, or `null`."""

    distribution: str | None = None
    """Name and version of the instrument package, as its release has them, or `null`."""

    environment: str | None = None
    """SHA-256 of the task's lock, or `null`. The environment's folder in the store begins with its first 32 digits."""

    @property
    def made(self) -> datetime | None:
        """When it was made; None if it does not say so, as a message that was written by hand."""
        try:
            return datetime.fromisoformat(str(self.time)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    def to_json(self) -> bytes:
        """Return the body of the message."""
        return json.dumps({name: getattr(self, key) for key, name in MEMBERS.items()}, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, body: bytes) -> FailureMessage:
        """Return the message that a body holds; members that this version does not know are left out.

        Parameters
        ----------
        body : bytes
            A message of this version, an older one or a newer one.

        Returns
        -------
        FailureMessage
            The message. Members that it does not have get their defaults.

        Raises
        ------
        MessageFormatError
            The body is too long, cut off or not JSON, or lacks a member that every message has.
        """
        if len(body) > MAXIMUM_BYTES:
            raise MessageFormatError(f"longer than a failure message may be ({MAXIMUM_BYTES} bytes)")
        try:
            members = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MessageFormatError(f"not JSON: {error}") from error
        if not isinstance(members, dict):
            raise MessageFormatError("not a JSON object")
        if missing := [name for name in REQUIRED_MEMBERS if name not in members]:
            raise MessageFormatError(f"member {missing[0]!r} is missing")
        return cls(**{key: members[name] for key, name in MEMBERS.items() if name in members})


def _camel_case(name: str) -> str:
    return re.sub("_([a-z])", lambda letter: letter[1].upper(), name)


MEMBERS = {field.name: _camel_case(field.name) for field in fields(FailureMessage)}
"""The name of each field's member."""

REQUIRED_MEMBERS = tuple(
    MEMBERS[field.name]
    for field in fields(FailureMessage)
    if field.default is MISSING and field.default_factory is MISSING
)
"""The members that make a JSON object a failure message: every version has them."""
