"""Failure messages and a real broker that is stopped, alarmed, full, cut off and misconfigured.

Needs RabbitMQ's programs (Debian: ``rabbitmq-server``); each test module starts a broker of its own.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dkist_airflow_node import publish_failure
from dkist_airflow_node.commands import main
from dkist_airflow_node.messages.bus import EXCHANGE, QUEUE, ROUTING_KEY, BusConnection
from dkist_airflow_node.messages.spool import Spool
from dkist_airflow_node.messages.spool_file import REFUSED
from harness.rabbitmq import PrivateRabbitMQ, write_certificates
from tests.dkist_airflow_node.messages import servers
from tests.dkist_airflow_node.messages.airflow_context import Instance, task_context
from tests.dkist_airflow_node.messages.test_message import make_message
from tests.dkist_airflow_node.worker.worker import wait_for

pytestmark = pytest.mark.service

SECRET = "s3cret-of-the-bus"
LONG_DEADLINE_SECONDS = 30.0
"""A broker on a busy machine may take seconds for a message."""
DEADLINE_SECONDS = 1.0
"""Where no broker takes the message."""
SLACK_SECONDS = 4.0
"""For a machine that is busy."""

FAIL_FOR_EVER = """
import sys, time
from dkist_airflow_node import publish_failure
from tests.dkist_airflow_node.messages.airflow_context import Instance, task_context
from tests.dkist_airflow_node.messages.test_message import make_message
from tests.dkist_airflow_node.worker.worker import wait_for
worker = sys.argv[1]
for number in range(10**6):
    run_id = f"{worker}-{number}"
    print("begin", run_id, flush=True)
    publish_failure(task_context(Instance(run_id=run_id)), workflow_name="w", workflow_version="1")
    print("end", run_id, flush=True)
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRabbitMQ]:
    """Return a broker of this module's own."""
    with PrivateRabbitMQ(tmp_path_factory.mktemp("broker") / "rabbitmq", has_tls=True) as rabbitmq:
        yield rabbitmq


@pytest.fixture(autouse=True)
def spool(broker: PrivateRabbitMQ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """Return the spool that callbacks use, with a broker that has neither exchange nor queue."""
    with broker.connect() as connection:
        channel = connection.channel()
        channel.queue_delete(QUEUE)
        channel.exchange_delete(EXCHANGE)
    monkeypatch.setenv("DKIST_MESSAGE_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("DKIST_MESSAGE_DEADLINE_SECONDS", str(LONG_DEADLINE_SECONDS))
    for name, value in broker.settings.items():
        monkeypatch.setenv(name, value)
    for name in ("ISB_USERNAME", "ISB_PASSWORD", "DKIST_MESSAGE_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    return Spool(tmp_path / "spool")


def publish(*run_ids: str) -> float:
    """Call the callback for a failure in each run and return how long the longest call took."""
    seconds = 0.0
    for run_id in run_ids:
        started = time.monotonic()
        publish_failure(task_context(Instance(run_id=run_id)), workflow_name="vbi_l0", workflow_version="1.0.0")
        seconds = max(seconds, time.monotonic() - started)
    return seconds


def runs(bodies: list[bytes]) -> list[str]:
    """Return the run of each message."""
    return [json.loads(body)["dagRunId"] for body in bodies]


def waiting(spool: Spool) -> list[str]:
    """Return the runs whose messages wait."""
    return runs([path.read_bytes() for path in spool.paths()])


def has_ended_thrice(log: Path) -> bool:
    """Return whether a process that fails for ever has written three ends to its log."""
    return log.read_text("utf-8").count("end") >= 3


def end_pause(spool: Spool) -> None:
    """Let half a minute pass."""
    for marker in spool.folder.glob("*.pause"):
        os.utime(marker, (time.time() - 31,) * 2)


@contextmanager
def longest_message(broker: PrivateRabbitMQ, size: int) -> Iterator[None]:
    """Have the broker refuse longer messages."""
    allowed = broker.control("eval", "application:get_env(rabbit, max_message_size, 16777216).").strip()
    broker.control("eval", f"application:set_env(rabbit, max_message_size, {size}).")
    try:
        yield
    finally:
        broker.control("eval", f"application:set_env(rabbit, max_message_size, {allowed}).")


def test_exchange_and_queue_are_created(broker: PrivateRabbitMQ, spool: Spool) -> None:
    """Where there is nothing, a durable exchange and queue are created, and the message is persistent."""
    publish("r1")
    assert waiting(spool) == []
    with broker.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare(EXCHANGE, exchange_type="direct", durable=True)  # refused if it were anything else
        channel.queue_declare(QUEUE, durable=True)
        _, properties, body = channel.basic_get(QUEUE, auto_ack=True)
    assert properties.delivery_mode == 2
    assert properties.content_type == "application/json"
    message = json.loads(body)
    assert (message["taskName"], message["dagRunId"], message["recipeRunId"]) == ("Calibrate", "r1", 7)


@pytest.mark.parametrize(
    ("kind", "arguments"), [("topic", {"x-queue-type": "quorum"}), ("fanout", {"x-max-length": 9})]
)
def test_what_exists_is_used_as_it_is(
    kind: str, arguments: dict[str, Any], broker: PrivateRabbitMQ, spool: Spool
) -> None:
    """An exchange of another type and a queue with other arguments are no reason to fail."""
    with broker.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare(EXCHANGE, exchange_type=kind, durable=True)
        channel.queue_declare(QUEUE, durable=True, arguments=arguments)
    publish("r1", "r2")
    assert waiting(spool) == []
    assert runs(broker.take(QUEUE)) == ["r1", "r2"]


def test_refused_by_a_full_queue(broker: PrivateRabbitMQ, spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    """A message that the queue refuses waits; when there is room it is published, in its turn."""
    with broker.connect() as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    publish("r1", "r2", "r3")
    assert waiting(spool) == ["r2", "r3"]
    assert "refused by a queue (nack)" in caplog.text
    assert runs(broker.take(QUEUE)) == ["r1"]
    publish("r4")
    assert waiting(spool) == ["r3", "r4"]


def test_a_message_that_the_broker_never_accepts(
    broker: PrivateRabbitMQ, spool: Spool, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is longer than the broker allows is reported once and set aside; those behind it are published."""
    spool.add(dataclasses.replace(make_message("long"), reason="x" * 5000).to_json())
    spool.add(make_message("short").to_json())
    with longest_message(broker, 2000):
        publish("r2", "r3")
        assert main(["messages", "resend"]) == 0
    assert waiting(spool) == []
    assert runs(broker.take(QUEUE)) == ["r1", "r2", "r3"]
    (aside,) = spool.paths_aside()
    assert aside.parent == spool.folder / REFUSED
    assert caplog.text.count(f"was moved to {aside.parent} and will not be sent") == 1
    assert "PRECONDITION_FAILED - message size" in caplog.text
    aside.rename(spool.folder / aside.name)
    capsys.readouterr()
    assert main(["messages", "resend"]) == 0  # the broker allows it again
    assert capsys.readouterr().out.startswith("1 published, 0 waiting")


def test_a_message_that_is_neither_spooled_nor_accepted(
    broker: PrivateRabbitMQ, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a spool to set it aside in, the log has the message, complete, and the broker's reason."""
    monkeypatch.setenv("DKIST_MESSAGE_SPOOL", "relative")
    with longest_message(broker, 100):
        publish("r1")
    last = caplog.records[-1].getMessage()
    assert "neither spooled nor published (broker 127.0.0.1:" in last
    assert "PRECONDITION_FAILED - message size" in last
    assert json.loads(last[last.index("{") :])["dagRunId"] == "r1"


def test_a_user_who_may_only_publish(
    broker: PrivateRabbitMQ, spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the right to make or bind anything, messages go where somebody else has bound a queue, and only there."""
    caplog.set_level(logging.DEBUG)
    broker.control("add_user", "publisher", SECRET)
    broker.control("set_permissions", "publisher", "^$", r"^master\.direct\.x$", "^$")
    monkeypatch.setenv("ISB_USERNAME", "publisher")
    monkeypatch.setenv("ISB_PASSWORD", SECRET)
    publish("r1")  # there is no exchange
    assert waiting(spool) == ["r1"]
    with broker.connect() as connection:
        connection.channel().exchange_declare(EXCHANGE, exchange_type="direct", durable=True)
    publish("r2")  # there is no queue
    assert waiting(spool) == ["r1", "r2"]
    assert "no queue is bound to exchange 'master.direct.x' for routing key 'recipe.run.failure.m'" in caplog.text
    with broker.connect() as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True)
        channel.queue_bind(QUEUE, EXCHANGE, routing_key=ROUTING_KEY)
    publish("r3")
    assert waiting(spool) == []
    assert runs(broker.take(QUEUE)) == ["r1", "r2", "r3"]
    assert SECRET not in caplog.text


def test_wrong_password(spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The log says whose login is refused, and not the password."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("ISB_USERNAME", "guest")
    monkeypatch.setenv("ISB_PASSWORD", SECRET)
    assert publish("r1") < LONG_DEADLINE_SECONDS
    assert waiting(spool) == ["r1"]
    assert "refuses the login of user 'guest'" in caplog.text
    assert SECRET not in caplog.text


def test_tls(
    broker: PrivateRabbitMQ,
    spool: Spool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a file of certificates the connection is encrypted, and only a broker that they vouch for is spoken to."""
    write_certificates(tmp_path)  # an authority that has not signed the broker's certificate
    monkeypatch.setenv("MESH_CONFIG", servers.mesh(broker.tls_port, "localhost"))
    monkeypatch.setenv("DKIST_MESSAGE_CA_FILE", str(tmp_path / "ca.pem"))
    publish("r1")
    assert waiting(spool) == ["r1"]
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
    end_pause(spool)
    monkeypatch.setenv("DKIST_MESSAGE_CA_FILE", str(broker.ca_file))
    publish("r2")
    assert waiting(spool) == []
    assert runs(broker.take(QUEUE)) == ["r1", "r2"]


def test_memory_alarm(
    broker: PrivateRabbitMQ, spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that blocks publishers is waited for until the deadline; afterwards everything arrives, oldest first."""
    publish("r0")
    broker.alarm()
    monkeypatch.setenv("DKIST_MESSAGE_DEADLINE_SECONDS", str(DEADLINE_SECONDS))
    try:
        assert publish("r1") < DEADLINE_SECONDS + SLACK_SECONDS
        assert "blocks publishers" in caplog.text
        monkeypatch.setenv("DKIST_MESSAGE_DEADLINE_SECONDS", str(LONG_DEADLINE_SECONDS))
        assert publish("r2", "r3") < SLACK_SECONDS  # in the pause, or it would wait until the deadline
        assert waiting(spool) == ["r1", "r2", "r3"]
    finally:
        broker.relieve()
    end_pause(spool)
    publish("r4")
    assert waiting(spool) == []
    arrived = runs(broker.take(QUEUE))
    # What the broker had received when the connection was given up may arrive as well, with the same key.
    assert [run for n, run in enumerate(arrived) if run not in arrived[:n]] == ["r0", "r1", "r2", "r3", "r4"]


def test_a_long_queue_is_no_broker_that_is_away(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """More messages than can be sent within the deadline: the oldest are sent, and the next callback goes on."""
    send = BusConnection.publish

    def send_slowly(bus: BusConnection, body: bytes) -> None:
        time.sleep(0.02)
        send(bus, body)

    monkeypatch.setattr(BusConnection, "publish", send_slowly)  # no machine sends them all in time, and each sends one
    monkeypatch.setenv("DKIST_MESSAGE_DEADLINE_SECONDS", "3")
    for number in range(1000):
        spool.add(make_message(str(number)).to_json())
    assert publish("r1") < 3 + SLACK_SECONDS
    assert 0 < len(waiting(spool)) < 1000
    assert list(spool.folder.glob("*.pause")) == []
    left = len(waiting(spool))
    publish("r2")
    assert len(waiting(spool)) < left


def test_line_cut_at_any_byte(broker: PrivateRabbitMQ, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line goes dead, but stays open, after any number of bytes: every call ends in time, and nothing is lost."""
    monkeypatch.setenv("DKIST_MESSAGE_DEADLINE_SECONDS", "0.3")
    random.seed(3)
    names = []
    for number in range(25):
        names.append(f"r{number}")
        with servers.proxy(broker.port, limit=random.randrange(1, 900)) as port:
            monkeypatch.setenv("MESH_CONFIG", servers.mesh(port))
            assert publish(names[-1]) < 0.3 + SLACK_SECONDS
    assert waiting(spool) != []
    monkeypatch.setenv("MESH_CONFIG", servers.mesh(broker.port))
    assert main(["messages", "resend"]) == 0
    assert set(runs(broker.take(QUEUE))) == set(names)


def test_test_and_resend(broker: PrivateRabbitMQ, spool: Spool, capsys: pytest.CaptureFixture[str]) -> None:
    """``messages test`` says what it found at each step, and its message says that it is a test."""
    assert main(["messages", "test"]) == 0
    steps = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert [step for step, _ in steps] == ["settings", "address", "login", "exchange", "queue", "route", "confirm"]
    assert dict(steps)["queue"] == f"{QUEUE} created"
    (message,) = (json.loads(body) for body in broker.take(QUEUE))
    assert message["taskName"] == "test message"
    assert "Nothing has failed" in message["reason"]
    assert main(["messages", "resend"]) == 0
    assert capsys.readouterr().out == f"0 published, 0 waiting in {spool.folder}\n"


def test_restarts_and_kills_lose_nothing(broker: PrivateRabbitMQ, spool: Spool, tmp_path: Path) -> None:
    """Hundreds of failures while processes are killed and the broker stops and starts: every failure arrives."""
    random.seed(7)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    logs = [tmp_path / f"{number}.log" for number in range(18)]
    for number, log in enumerate(logs):
        if number == 6:
            broker.stop()
        if number == 12:
            broker.start()
            end_pause(spool)
        with log.open("wb") as output:
            program = [sys.executable, "-c", FAIL_FOR_EVER, log.stem]
            process = subprocess.Popen(program, stdout=output, stderr=subprocess.DEVNULL, env=environment)
        wait_for(partial(has_ended_thrice, log), "three failures")
        time.sleep(random.uniform(0, 1.5))
        process.kill()
        process.wait()
    end_pause(spool)
    assert main(["messages", "resend"]) == 0
    assert waiting(spool) == []
    lines = [line.split() for log in logs for line in log.read_text().splitlines()]
    ended = {run for word, run in lines if word == "end"}
    begun = {run for word, run in lines if word == "begin"}
    arrived = [json.loads(body) for body in broker.take(QUEUE)]
    assert len(ended) > 50  # some hundreds on a machine that has nothing else to do
    assert ended <= {message["dagRunId"] for message in arrived} <= begun
    keys = {message["idempotencyKey"] for message in arrived}
    assert len(keys) == len({message["dagRunId"] for message in arrived})
