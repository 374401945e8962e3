"""Read failure messages from the queue and post each failure to a chat, once, by the message that knows most of it.

Several processes report one failure: worker, listener, reconciler and dag-processor. This program waits `HOLD_SECONDS`
for their messages and posts one alert. If the worker's message comes later than that, it posts the error as well.

Everything it knows is in a file, `SEEN`, before it acknowledges a message. So it may be killed at any time: at worst an
alert is posted twice. Run it with::

    BROKER_URL=amqp://user:password@host:5672/%2F CHAT_URL=https://chat.example.org/hook python failure_alerts.py
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import urllib.request

import pika

from dkist_airflow_node import FailureMessage, alert_text, merged

QUEUE = "recipe.run.failure.q"
HOLD_SECONDS = float(os.environ.get("HOLD_SECONDS", "10"))
"""A worker whose task was stopped from outside reports five seconds later."""

KEEP_SECONDS = 30 * 86400
"""How long a failure is remembered after its first message."""

SEEN = os.environ.get("SEEN", "seen-failures.db")

TABLE = "CREATE TABLE IF NOT EXISTS failures (key TEXT PRIMARY KEY, since REAL, body BLOB, posted TEXT)"
"""Of each failure: when it was first reported, all that is known of it, and whose message was posted."""


def remember(seen: sqlite3.Connection, body: bytes) -> None:
    """Add a message to what is known of its failure."""
    message = FailureMessage.from_json(body)
    key = str(message.idempotency_key or message.conversation_id)  # the first version had no keys
    row = seen.execute("SELECT body FROM failures WHERE key = ?", (key,)).fetchone()
    if row is None:
        seen.execute("INSERT INTO failures VALUES (?, ?, ?, NULL)", (key, time.time(), message.to_json()))
    else:
        known = merged(FailureMessage.from_json(row[0]), message)
        seen.execute("UPDATE failures SET body = ? WHERE key = ?", (known.to_json(), key))


def post_due(seen: sqlite3.Connection) -> None:
    """Post each failure whose time has come, and the error of each that was posted without it."""
    due = "posted IS NULL AND since < ?"
    late = "posted != 'worker' AND json_extract(CAST(body AS TEXT), '$.source') = 'worker'"
    query = f"SELECT key, body FROM failures WHERE ({due}) OR ({late}) ORDER BY since"
    for key, body in seen.execute(query, (time.time() - HOLD_SECONDS,)).fetchall():
        message = FailureMessage.from_json(body)
        post(alert_text(message))
        seen.execute("UPDATE failures SET posted = ? WHERE key = ?", (str(message.source), key))
    seen.execute("DELETE FROM failures WHERE since < ? AND posted IS NOT NULL", (time.time() - KEEP_SECONDS,))


def post(text: str) -> None:
    """Post a text to the chat."""
    data = json.dumps({"text": text}).encode()
    request = urllib.request.Request(os.environ["CHAT_URL"], data, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).close()


def main() -> None:
    """Read the queue for ever."""
    seen = sqlite3.connect(SEEN, isolation_level=None)  # each statement is on disk when it returns
    seen.execute(TABLE)
    channel = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"])).channel()
    for method, _, body in channel.consume(QUEUE, inactivity_timeout=0.5):
        if method is not None:
            try:
                remember(seen, body)
            except ValueError as error:  # it is no failure message, and must not stop those behind it
                post(f"A message in {QUEUE} cannot be read ({error}): {body[:500]!r}")
            channel.basic_ack(method.delivery_tag)
        post_due(seen)


if __name__ == "__main__":
    main()
