"""The consumer in examples/failure-alerts does what the page and its README say.

Needs RabbitMQ's programs (Debian: ``rabbitmq-server``); the broker is this module's own.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from dkist_airflow_node import FailureMessage, publish_failure
from dkist_airflow_node.messages import Spool
from dkist_airflow_node.messages.bus import BusConnection
from dkist_airflow_node.messages.settings import bus_settings
from harness.rabbitmq import PrivateRabbitMQ
from tests.dkist_airflow_node.messages.airflow_context import Instance, dag_context, task_context
from tests.dkist_airflow_node.messages.servers import mesh
from tests.dkist_airflow_node.worker.worker import wait_for

pytestmark = pytest.mark.service

PROGRAM = Path(__file__).parents[3] / "examples" / "failure-alerts" / "failure_alerts.py"


def from_listener(spool: Spool, task_id: str) -> FailureMessage:
    """Return what the listener says of a task's failure, with the key of the callbacks."""
    (path,) = [path for path in spool.paths() if json.loads(path.read_bytes())["taskName"] == task_id]
    members = json.loads(path.read_bytes())
    return FailureMessage.from_json(
        json.dumps(members | {"source": "listener", "reason": "marked as failed by hand", "tryNumber": 3}).encode()
    )


def is_all_noted(seen: Path) -> bool:
    """Return whether the consumer knows that it has posted everything: killed before, it would post it again."""
    with closing(sqlite3.connect(seen)) as connection:
        return connection.execute("SELECT 1 FROM failures WHERE posted IS NULL").fetchone() is None


def test_consumer_posts_each_failure_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure that several processes report is posted once, by who knows most, and again only with a late error.

    The consumer may be killed in between, and a message that cannot be read stops nothing.
    """
    posted: list[str] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with PrivateRabbitMQ(tmp_path / "rabbitmq") as broker, HTTPServer(("127.0.0.1", 0), Chat) as chat:
        Thread(target=chat.serve_forever, daemon=True).start()
        # What is not sent in time would not be sent by others here.
        for name, value in {**broker.settings, "DKIST_MESSAGE_DEADLINE_SECONDS": "30"}.items():
            monkeypatch.setenv(name, value)
        spool = Spool(tmp_path / "spool")
        monkeypatch.setenv("DKIST_MESSAGE_SPOOL", str(spool.folder))
        environment = {
            **os.environ,
            "CHAT_URL": f"http://127.0.0.1:{chat.server_port}/",
            "BROKER_URL": f"amqp://guest:guest@127.0.0.1:{broker.port}/%2F",
            "SEEN": str(tmp_path / "seen.db"),
            "HOLD_SECONDS": "5",  # a busy machine may take a second for what waits in the queue
        }

        def publish(context: object) -> None:
            publish_failure(context, workflow_name="vbi_l0", workflow_version="1.0.0")

        def consume(count: int) -> None:
            consumer = subprocess.Popen([sys.executable, str(PROGRAM)], cwd=tmp_path, env=environment)
            counts = ("list_queues", "--no-table-headers", "messages")
            wait_for(lambda: broker.control(*counts).strip() == "0", "the end of the queue")
            wait_for(lambda: len(posted) >= count, f"{count} posts")
            wait_for(lambda: is_all_noted(tmp_path / "seen.db"), "the program's own note of them")
            consumer.kill()
            consumer.wait()

        publish(dag_context())
        publish(task_context())
        publish(dag_context())
        consume(1)
        publish(dag_context())  # after the restart: known
        publish(task_context(Instance("B")))
        publish(dag_context(Instance("C")))
        consume(3)
        publish(task_context(Instance("C")))  # late, but with the error
        publish(dag_context(Instance("C")))
        with BusConnection(bus_settings(os.environ), 30) as bus:
            bus.open()
            bus.publish(b"no message")
        # Only listener and dag-processor report D: the listener knows more.
        monkeypatch.setenv("MESH_CONFIG", mesh(1))
        publish(dag_context(Instance("D")))
        heard = from_listener(spool, "D")
        (waiting,) = spool.paths()
        spool.add(heard.to_json())
        monkeypatch.setenv("MESH_CONFIG", broker.settings["MESH_CONFIG"])
        publish(dag_context(Instance("B")))  # publishes what waits, too
        assert not waiting.exists()
        consume(6)
        chat.shutdown()
    heads = sorted(tuple(text.splitlines()[:2]) for text in posted if text.startswith("FAILED"))
    head = "FAILED: task {} of recipe run 7, vbi_l0 1.0.0"
    assert heads == [
        (head.format("B"), "ValueError: no flats"),
        (head.format("C"), "ValueError: no flats"),
        (head.format("C"), "task_failure"),
        (head.format("Calibrate"), "ValueError: no flats"),
        (head.format("D"), "marked as failed by hand"),
    ]
    (complaint,) = [text for text in posted if not text.startswith("FAILED")]
    assert "cannot be read (not JSON" in complaint
    (text,) = [text for text in posted if "task D" in text]
    assert "\nAttempt 3.\n" in text  # the listener knows no limit of attempts
    assert "Log: http://airflow/dags/vbi_l0_1.0.0/runs/r1/tasks/D?try_number=1" in text
