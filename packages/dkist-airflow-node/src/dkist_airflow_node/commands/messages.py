"""The ``messages`` commands: care for the failure messages of this host."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from dkist_airflow_node.commands.command_help import epilogue
from dkist_airflow_node.commands.reconcile import reconcile_command
from dkist_airflow_node.commands.text_table import cell, table
from dkist_airflow_node.errors import MessageError, MessageFormatError
from dkist_airflow_node.messages import (
    EXCHANGE,
    QUEUE,
    ROUTING_KEY,
    TEST_NAME,
    BusConnection,
    BusSettings,
    FailureMessage,
    Source,
    Spool,
    Watched,
    alert_text,
    answering_address,
    bus_settings,
    deadline_seconds,
    publish_waiting,
    read_message,
    spool_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EPILOG = epilogue(
    "docs/how-to/failure-messages.md",
    settings={
        "MESH_CONFIG": "JSON that says where the broker is [default: 127.0.0.1:5672]",
        "ISB_USERNAME, ISB_PASSWORD": "the login [default: guest]",
        "DKIST_MESSAGE_CA_FILE": "certificates to trust; switches TLS on",
        "DKIST_MESSAGE_SPOOL": "absolute path of the folder for messages that wait "
        "[default: ${XDG_STATE_HOME:-$HOME/.local/state}/dkist/messages]",
        "DKIST_MESSAGE_DEADLINE_SECONDS": "how long publishing may take [default: 3]",
    },
)


@click.group("messages", epilog=EPILOG)
def messages_commands() -> None:
    """Care for the failure messages of this host."""


messages_commands.add_command(reconcile_command)


@messages_commands.command("test", epilog=EPILOG)
@click.option("--failure", "is_failure", is_flag=True, help="Send what a worker would, and print the alert for it.")
def test_command(*, is_failure: bool) -> int:
    """Publish a test message, and report each step.

    The message is marked as a test and is not spooled. The command stops at the first step that fails, with exit
    status 1.
    """
    message = _test_failure() if is_failure else _test_message()
    status = _try_bus(message)
    if is_failure:
        click.echo(f"\nThe alert for this message:\n\n{alert_text(message)}")
    return status


def _try_bus(message: FailureMessage) -> int:
    """Publish a message, report each step, and return the exit status."""
    settings = bus_settings(os.environ)
    tls = f"TLS, trusting {settings.ca_file}" if settings.ca_file else "no TLS (DKIST_MESSAGE_CA_FILE is not set)"
    _say("settings", f"broker {settings.host} port {settings.port}, user {settings.username!r}, {tls}")
    seconds = deadline_seconds(os.environ)
    step = "address"
    try:
        for step, found in Watched(_test_steps(settings, seconds, message), seconds=seconds):
            if found is not None:
                _say(step, found)
    except MessageError as error:
        _say(step, f"FAILED: {error}")
        return 1
    except TimeoutError:
        _say(step, f"FAILED: no answer within {seconds:g} s (DKIST_MESSAGE_DEADLINE_SECONDS)")
        return 1
    return 0


@messages_commands.command("list", epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a table.")
def list_command(*, as_json: bool) -> None:
    """List the messages that wait in the spool, oldest first.

    The list also names the files that are not messages, those that were set aside, and messages of stopped tasks that
    are not sent before 'messages reconcile' has asked Airflow.
    """
    spool = Spool(spool_folder(os.environ))
    waiting: list[tuple[Path, bytes]] = []
    unreadable: list[Path] = []
    for path in spool.paths():
        try:
            waiting.append((path, read_message(path)))
        except MessageFormatError:
            if path.is_symlink() or path.exists():  # else it was published in this moment
                unreadable.append(path)
    aside, undecided = spool.paths_aside(), spool.undecided.paths()
    if as_json:
        messages = [json.loads(body) for _, body in waiting]
        paths = {"unreadable": unreadable, "aside": aside, "undecided": undecided}
        click.echo(json.dumps({"waiting": messages, **paths}, indent=2, default=str))
        return
    if waiting:
        headings = ("SINCE (UTC)", "WORKFLOW", "TASK", "RUN", "RECIPE RUN", "KEY", "REASON")
        click.echo(table(headings, [_row(path, FailureMessage.from_json(body)) for path, body in waiting]))
    for path in unreadable:
        click.echo(f"not a failure message: {path}")
    for path in aside:
        click.echo(f"set aside: {path}")
    for path in undecided:
        click.echo(f"undecided, until 'messages reconcile' asks Airflow: {path}")
    click.echo(f"{len(waiting)} waiting in {spool.folder}")


@messages_commands.command("resend", epilog=EPILOG)
def resend_command() -> int:
    """Publish the messages that wait in the spool, oldest first.

    Meant for a timer: otherwise they wait for the next failure after the broker was away.
    """
    spool = Spool(spool_folder(os.environ))
    delivery = publish_waiting(bus_settings(os.environ), spool, seconds=deadline_seconds(os.environ))
    click.echo(f"{delivery.published} published, {len(spool.paths())} waiting in {spool.folder}")
    if delivery.fault is not None:
        raise delivery.fault
    return 1 if delivery.refusals else 0


def _row(path: Path, message: FailureMessage) -> tuple[str, ...]:
    # A file that somebody has copied into the spool may have any name.
    since = message.time or datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()
    return (
        str(since)[:19].replace("T", " "),
        f"{message.workflow_name} {message.workflow_version}",
        cell(message.task_name),
        cell(message.dag_run_id),
        cell(message.recipe_run_id),
        cell(message.idempotency_key),
        cell(message.reason),
    )


def _test_steps(settings: BusSettings, seconds: float, message: FailureMessage) -> Iterator[tuple[str, str | None]]:
    """Yield each step's name with None before it, and with what was found after it."""
    yield "address", f"{answering_address(settings, seconds)} answers"
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
        bus.publish(message.to_json())
        yield "confirm", f"the broker has the test message in a queue (key {message.idempotency_key})"


def _test_message() -> FailureMessage:
    return FailureMessage(
        workflow_name=TEST_NAME,
        workflow_version=TEST_NAME,
        task_name=TEST_NAME,
        dag_run_id=TEST_NAME,
        log_url=None,
        reason="This is a test, sent by 'dkist-airflow-node messages test'. Nothing has failed.",
        idempotency_key=str(uuid.uuid4()),
        host=socket.gethostname(),
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _test_failure() -> FailureMessage:
    """Return a test message with every member that a worker's message has."""
    return replace(
        _test_message(),
        log_url="https://airflow.example.org/dags/test/runs/test/tasks/test?try_number=2",
        recipe_run_id=1,
        try_number=2,
        max_tries=2,
        duration_seconds=192.0,
        reason="ValueError: this is a test, sent by 'dkist-airflow-node messages test --failure'",
        source=Source.WORKER,
        distribution="dkist-processing-test 1.0.0",
        environment=hashlib.sha256(TEST_NAME.encode()).hexdigest(),
    )


def _say(step: str, words: str) -> None:
    click.echo(f"{step:9} {words}")
