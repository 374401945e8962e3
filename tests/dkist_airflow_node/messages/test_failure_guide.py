"""The consumer of docs/how-to/failure-messages.md does what the page says.

Needs RabbitMQ's programs (Debian: ``rabbitmq-server``); the broker is this module's own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from dkist_airflow_node import publish_failure
from harness.rabbitmq import PrivateRabbitMQ
from tests.dkist_airflow_node.messages.airflow_context import Instance, dag_context, task_context
from tests.dkist_airflow_node.worker.worker import wait_for

pytestmark = pytest.mark.service

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "failure-messages.md"


def test_consumer_posts_each_failure_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure that two callbacks report is posted once, and again only if the worker comes second, with the error.

    The consumer may be killed in between.
    """
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len([line for line in program.splitlines() if line]) < 25
    posted: list[str] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with PrivateRabbitMQ(tmp_path / "rabbitmq") as broker, HTTPServer(("127.0.0.1", 0), Chat) as chat:
        Thread(target=chat.serve_forever, daemon=True).start()
        for name, value in broker.settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DKIST_MESSAGE_SPOOL", str(tmp_path / "spool"))
        environment = {
            **os.environ,
            "CHAT_URL": f"http://127.0.0.1:{chat.server_port}/",
            "BROKER_URL": f"amqp://guest:guest@127.0.0.1:{broker.port}/%2F",
        }

        def publish(context: object) -> None:
            publish_failure(context, workflow_name="vbi_l0", workflow_version="1.0.0")

        def consume() -> None:
            consumer = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env=environment)
            counts = ("list_queues", "--no-table-headers", "messages")
            wait_for(lambda: broker.control(*counts).strip() == "0", "the end of the queue", seconds=60)
            consumer.kill()
            consumer.wait()

        publish(task_context())
        publish(dag_context())
        consume()
        publish(dag_context())
        publish(task_context(Instance("B")))
        publish(dag_context(Instance("C")))
        consume()
        publish(task_context(Instance("C")))
        publish(dag_context(Instance("C")))
        consume()
        chat.shutdown()
    assert posted == [
        f"vbi_l0 1.0.0: {task} of run r1 failed: {reason} "
        f"http://airflow/dags/vbi_l0_1.0.0/runs/r1/tasks/{task}?try_number=1"
        for task, reason in (
            ("Calibrate", "ValueError: no flats"),
            ("B", "ValueError: no flats"),
            ("C", "task_failure"),
            ("C", "ValueError: no flats"),
        )
    ]
