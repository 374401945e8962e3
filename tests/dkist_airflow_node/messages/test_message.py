"""The failure message and its JSON."""

from __future__ import annotations

import json

import pytest

from dkist_airflow_node.messages.message import MAXIMUM_BYTES, FailureMessage, MessageFormatError


def make_message(name: str = "Calibrate") -> FailureMessage:
    """Return a message of a failure of its own."""
    return FailureMessage(
        workflow_name="vbi_l0",
        workflow_version="1.0.0",
        task_name=name,
        dag_run_id="r1",
        log_url="http://airflow/log",
        recipe_run_id=7,
        try_number=2,
        reason="ValueError: é \u0000",
        idempotency_key=f"key of {name}",
    )


def test_members_are_the_contract() -> None:
    """Programs that read the queue rely on these names."""
    assert list(json.loads(make_message().to_json())) == [
        "workflowName",
        "workflowVersion",
        "taskName",
        "dagRunId",
        "logUrl",
        "recipeRunId",
        "tryNumber",
        "reason",
        "idempotencyKey",
        "conversationId",
    ]


def test_json_there_and_back() -> None:
    """A message read from its JSON equals it, the conversation included."""
    message = make_message()
    assert FailureMessage.from_json(message.to_json()) == message
    assert make_message().conversation_id != message.conversation_id


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (make_message().to_json()[:-1], "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", "no member 'workflowName'"),
        (b"x" * (MAXIMUM_BYTES + 1), "more than a failure message has"),
    ],
)
def test_anything_else_is_refused(body: bytes, complaint: str) -> None:
    """What is cut off, or something else, is told from a message."""
    with pytest.raises(MessageFormatError, match=complaint):
        FailureMessage.from_json(body)
