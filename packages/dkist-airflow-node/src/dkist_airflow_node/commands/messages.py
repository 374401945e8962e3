"""The ``messages`` commands: care of the failure messages of this host."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dkist_airflow_node.messages import (
    EXCHANGE,
    QUEUE,
    ROUTING_KEY,
    BusConnection,
    BusSettings,
    FailureMessage,
    MessageError,
    MessageFormatError,
    Spool,
    Watched,
    bus_settings,
    deadline_seconds,
    look_up,
    send_waiting,
    spool_folder,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

TEST_NAME = "test message"


def add_messages_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``messages`` and its commands: each sets ``run``, which takes the arguments and returns the exit status."""
    text = "care of the failure messages of this host"
    group = subparsers.add_parser("messages", help=text, description=text)
    commands = group.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "test",
        help="send a marked test message, and say what is found at each step",
        description="Send one message, marked as a test, to the queue of failure messages, and say what is found at "
        "each step. It is not kept if it cannot be sent.",
    )
    command.set_defaults(run=run_test)

    command = commands.add_parser("list", help="list the messages that wait in the spool, oldest first")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(run=run_list)

    command = commands.add_parser(
        "resend",
        help="send the messages that wait in the spool, oldest first",
        description="Send the messages that wait in the spool, oldest first. Meant for a timer, so that they do not "
        "wait for the next failure after the broker was away.",
    )
    command.set_defaults(run=run_resend)


def run_test(_arguments: argparse.Namespace) -> int:
    """Send a test message and print what is found at each step."""
    settings = bus_settings(os.environ)
    tls = f"TLS, trusting {settings.ca_file}" if settings.ca_file else "no TLS (DKIST_MESSAGE_CA_FILE is not set)"
    _say("settings", f"broker {settings.host} port {settings.port}, user {settings.username!r}, {tls}")
    seconds = deadline_seconds(os.environ)
    step = "address"
    try:
        for step, found in Watched(_test_steps(settings, seconds), seconds=seconds):
            if found is not None:
                _say(step, found)
    except MessageError as error:
        _say(step, f"FAILED: {error}")
        return 1
    except TimeoutError:
        _say(step, f"FAILED: no answer within {seconds:g} s (DKIST_MESSAGE_DEADLINE_SECONDS)")
        return 1
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    """Print what waits."""
    spool = Spool(spool_folder(os.environ))
    waiting = [(path, _message(path)) for path in spool.paths()]
    unreadable = spool.set_aside() + [path for path, message in waiting if message is None and path.exists()]
    if arguments.json:
        messages = [json.loads(message.to_json()) for _, message in waiting if message is not None]
        _print(json.dumps({"waiting": messages, "unreadable": [str(path) for path in unreadable]}, indent=2))
        return 0
    for path, message in waiting:
        if message is not None:
            since = datetime.fromtimestamp(int(path.name.split("-")[0]) / 1e9, UTC).isoformat(" ", "seconds")
            name = f"{message.workflow_name} {message.workflow_version}"
            _print(
                f"{since}  {name}  task {message.task_name}  run {message.dag_run_id}  key {message.idempotency_key}"
            )
    for path in unreadable:
        _print(f"no failure message, set aside: {path}")
    _print(f"{sum(message is not None for _, message in waiting)} waiting in {spool.folder}")
    return 0


def run_resend(_arguments: argparse.Namespace) -> int:
    """Send what waits."""
    spool = Spool(spool_folder(os.environ))
    settings = bus_settings(os.environ)
    delivery = send_waiting(settings, spool, seconds=deadline_seconds(os.environ))
    left = len(spool.paths())
    _print(f"{delivery.sent} sent, {left} waiting in {spool.folder}")
    if delivery.fault is not None:
        raise delivery.fault
    return 0


def _test_steps(settings: BusSettings, seconds: float) -> Iterator[tuple[str, str | None]]:
    """Yield each step's name with None before it, and with what was found after it."""
    yield "address", f"{look_up(settings, seconds)} answers"
    with BusConnection(settings, seconds) as bus:
        yield "login", None
        bus.open()
        yield "login", f"user {settings.username!r} is accepted"
        yield "exchange", None
        yield "exchange", f"{EXCHANGE} {bus.ensure_exchange()}"
        yield "queue", None
        yield "queue", f"{QUEUE} {bus.ensure_queue()}"
        yield "route", None
        yield "route", f"{ROUTING_KEY} {bus.ensure_route()}"
        yield "confirm", None
        key = str(uuid.uuid4())
        bus.publish(_test_message(key).to_json())
        yield "confirm", f"the broker has the test message in a queue (key {key})"


def _test_message(key: str) -> FailureMessage:
    return FailureMessage(
        workflow_name=TEST_NAME,
        workflow_version=TEST_NAME,
        task_name=TEST_NAME,
        dag_run_id=TEST_NAME,
        log_url=None,
        recipe_run_id=None,
        try_number=None,
        reason="This is a test, sent by 'dkist-airflow-node messages test'. Nothing has failed.",
        idempotency_key=key,
    )


def _message(path: Path) -> FailureMessage | None:
    try:
        return FailureMessage.from_json(path.read_bytes())
    except (OSError, MessageFormatError):  # sent in this moment, or not a message
        return None


def _say(step: str, words: str) -> None:
    _print(f"{step:9} {words}")


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # the command's output
