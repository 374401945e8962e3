"""The failure message: what the bus carries when a task of a recipe run has failed for good."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field

from dkist_airflow_node.errors import AirflowNodeError

MAXIMUM_BYTES = 64 * 1024
"""Longest body that is taken from a file; a message made here has two thirds of it at most."""


class MessageError(AirflowNodeError):
    """A failure message could not be read, kept or sent."""


class MessageFormatError(MessageError, ValueError):
    """Bytes are not a failure message."""


@dataclass(frozen=True)
class FailureMessage:
    """One final failure of one task, as published.

    Notes
    -----
    The names of the JSON members are those of the fields in camel case; they are a contract with the programs that read
    the queue.
    """

    workflow_name: str
    """``{process_category}_{process_name}``."""

    workflow_version: str
    """Version of the instrument package."""

    task_name: str | None
    """Airflow's task id; None where Airflow names none (the run as a whole has failed)."""

    dag_run_id: str | None
    """Airflow's run id."""

    log_url: str | None
    """Page of the task's log."""

    recipe_run_id: int | None
    """The recipe run that was asked for."""

    try_number: int | None
    """The attempt that failed; None where Airflow does not say."""

    reason: str | None
    """Text of the exception, or Airflow's word for the end of the run."""

    idempotency_key: str
    """The same in every message about one failure."""

    conversation_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Different in every message, also about one failure."""

    def to_json(self) -> bytes:
        """Return the body of the message."""
        body = {
            "workflowName": self.workflow_name,
            "workflowVersion": self.workflow_version,
            "taskName": self.task_name,
            "dagRunId": self.dag_run_id,
            "logUrl": self.log_url,
            "recipeRunId": self.recipe_run_id,
            "tryNumber": self.try_number,
            "reason": self.reason,
            "idempotencyKey": self.idempotency_key,
            "conversationId": self.conversation_id,
        }
        return json.dumps(body, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, body: bytes) -> FailureMessage:
        """Return the message that `body` is.

        Raises
        ------
        MessageFormatError
            It is something else: cut off, not JSON, or without a member that every message has.
        """
        if len(body) > MAXIMUM_BYTES:
            raise MessageFormatError(f"{len(body)} bytes are more than a failure message has ({MAXIMUM_BYTES})")
        try:
            members = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MessageFormatError(f"not JSON: {error}") from error
        if not isinstance(members, dict):
            raise MessageFormatError("not a JSON object")
        try:
            return cls(
                workflow_name=members["workflowName"],
                workflow_version=members["workflowVersion"],
                task_name=members["taskName"],
                dag_run_id=members["dagRunId"],
                log_url=members["logUrl"],
                recipe_run_id=members["recipeRunId"],
                try_number=members["tryNumber"],
                reason=members["reason"],
                idempotency_key=members["idempotencyKey"],
                conversation_id=members["conversationId"],
            )
        except KeyError as error:
            raise MessageFormatError(f"no member {error}") from error
