"""The failure message and its JSON."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import re
import textwrap
from pathlib import Path

import pytest

from dkist_airflow_node.errors import MessageFormatError
from dkist_airflow_node.messages.message import MAXIMUM_BYTES, MEMBERS, REQUIRED_MEMBERS, FailureMessage


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
    """Programs that read the queue rely on these names; the first five are in the messages of every version."""
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
        "source",
        "host",
        "time",
        "maxTries",
        "durationSeconds",
        "distribution",
        "environment",
    ]
    assert REQUIRED_MEMBERS == ("workflowName", "workflowVersion", "taskName", "dagRunId", "logUrl")


def test_json_there_and_back() -> None:
    """A message read from its JSON equals it, the conversation included."""
    message = make_message()
    assert FailureMessage.from_json(message.to_json()) == message
    assert make_message().conversation_id != message.conversation_id


def test_the_page_has_every_member() -> None:
    """The table of members in the documentation is the dataclass, docstrings included."""
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "failure-messages.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \| (.*) \|$", page.partition("| member | meaning |")[2], re.MULTILINE)
    body = ast.parse(textwrap.dedent(inspect.getsource(FailureMessage))).body[0]
    assert isinstance(body, ast.ClassDef)
    docstrings = [
        (MEMBERS[ast.unparse(field.target)], ast.literal_eval(text.value))
        for field, text in itertools.pairwise(body.body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    ]
    assert len(docstrings) == len(MEMBERS)
    assert documented == docstrings


def test_messages_of_other_versions_are_read() -> None:
    """A member that was added later may be missing, and one that this version does not know may be there."""
    older = dict.fromkeys(REQUIRED_MEMBERS, "x")
    message = FailureMessage.from_json(json.dumps(older | {"addedLater": {"by": "a newer version"}}).encode())
    assert (message.workflow_name, message.source, message.idempotency_key) == ("x", None, None)


def test_messages_of_the_predecessor_are_read() -> None:
    """dkist-processing-core sends six members; run and log may be null."""
    body = {"conversationId": "0c8d", "workflowName": "l0_to_l1_vbi", "workflowVersion": "1.0.0", "taskName": "Gain"}
    message = FailureMessage.from_json(json.dumps(body | {"dagRunId": None, "logUrl": None}).encode())
    assert (message.task_name, message.conversation_id, message.idempotency_key) == ("Gain", "0c8d", None)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (make_message().to_json()[:-1], "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", "member 'workflowName' is missing"),
        (b"x" * (MAXIMUM_BYTES + 1), "longer than a failure message may be"),
    ],
)
def test_anything_else_is_refused(body: bytes, complaint: str) -> None:
    """What is cut off, or is something else, is not taken for a message."""
    with pytest.raises(MessageFormatError, match=complaint):
        FailureMessage.from_json(body)


def test_the_longest_body_is_read() -> None:
    """64 KiB are accepted, as documented, and one byte more is not."""
    assert MAXIMUM_BYTES == 65536
    body = make_message().to_json()
    assert FailureMessage.from_json(body.ljust(MAXIMUM_BYTES)).task_name == "Calibrate"
    with pytest.raises(MessageFormatError, match="longer than a failure message may be"):
        FailureMessage.from_json(body.ljust(MAXIMUM_BYTES + 1))


def test_text_is_utf_8() -> None:
    """A person who looks into the queue reads the text as it is, and it takes two bytes, not six, for each letter."""
    assert "ValueError: é".encode() in make_message().to_json()


def test_a_message_does_not_change() -> None:
    """What is spooled, published and logged is the same message."""
    with pytest.raises(dataclasses.FrozenInstanceError, match="task_name"):
        make_message().task_name = "another"  # type: ignore[misc]
