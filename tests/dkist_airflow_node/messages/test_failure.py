"""The failure callback, whatever state the broker is in. These tests need no RabbitMQ."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import os
import re
import subprocess
import sys
import time
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from dkist_airflow_node import publish_failure
from dkist_airflow_node.dag import body
from dkist_airflow_node.messages.failed_task import STOPPED_BY_AIRFLOW
from dkist_airflow_node.messages.spool import Spool
from tests.dkist_airflow_node.messages import servers
from tests.dkist_airflow_node.messages.airflow_context import Instance, dag_context, task_context

if TYPE_CHECKING:
    import socket
    from pathlib import Path

SLACK_SECONDS = 4.0
"""For a machine that is busy; each server here would hold a sender without a deadline much longer."""


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """Return the spool that callbacks use, with a broker that refuses connections."""
    importlib.import_module("pika")  # which the first message loads: its time is not that of a broker
    return servers.use_no_broker(monkeypatch, tmp_path / "spool")


def publish(context: Any) -> float:
    """Call the callback and return how long it took."""
    started = time.monotonic()
    publish_failure(context, workflow_name="vbi_l0", workflow_version="1.0.0")
    return time.monotonic() - started


def waiting(spool: Spool) -> list[dict[str, Any]]:
    """Return the messages that wait."""
    return [json.loads(path.read_bytes()) for path in spool.paths()]


@pytest.mark.parametrize(
    "behave",
    [
        servers.say_nothing,
        servers.stall_in_a_frame,
        servers.drip,
        servers.hang_up,
        servers.speak_something_else,
        servers.flood,
        servers.stall_after_login,
    ],
)
def test_no_broker_takes_longer_than_the_deadline(
    behave: Any, spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The message is spooled, in time, and the log has one line of ours, none of pika's, and no password."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("DKIST_MESSAGE_DEADLINE_SECONDS", "0.5")
    with servers.serving(behave) as port:
        monkeypatch.setenv("MESH_CONFIG", servers.mesh(port))
        assert publish(task_context()) < 0.5 + SLACK_SECONDS
    assert [message["taskName"] for message in waiting(spool)] == ["Calibrate"]
    (record,) = caplog.records
    assert re.search(rf"waits in .*broker 127.0.0.1:{port}: .*messages resend", record.getMessage())
    assert servers.SECRET not in caplog.text


def test_the_deadline_is_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing set: Airflow kills a callback five seconds after SIGTERM."""
    with servers.serving(servers.say_nothing) as port:
        monkeypatch.setenv("MESH_CONFIG", servers.mesh(port))
        assert 2 < publish(task_context()) < 5


def test_a_name_look_up_that_hangs(spool: Spool, tmp_path: Path) -> None:
    """A resolver that never answers, which no socket timeout reaches, delays neither the callback nor the exit."""
    program = """
import socket, time
socket.getaddrinfo = lambda *_, **__: time.sleep(600)
from dkist_airflow_node import publish_failure
started = time.monotonic()
publish_failure({"run_id": "r", "exception": None}, workflow_name="w", workflow_version="1")
print(time.monotonic() - started)
"""
    environment = {"DKIST_MESSAGE_SPOOL": str(tmp_path / "spool"), "DKIST_MESSAGE_DEADLINE_SECONDS": "0.5"}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60, env=environment
    )
    assert float(done.stdout) < 0.5 + SLACK_SECONDS
    assert time.monotonic() - started < 30
    assert "waits in" in done.stderr
    assert len(waiting(spool)) == 1


def test_pause_after_a_failed_connection(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """For half a minute no connection to that address is tried; one to another address is."""
    connected: list[socket.socket] = []
    with servers.serving(connected.append) as port, servers.serving(connected.append) as other:
        monkeypatch.setenv("MESH_CONFIG", servers.mesh(port))
        for number in range(20):
            publish(task_context(Instance(run_id=str(number))))
        assert len(connected) == 1
        (marker,) = spool.folder.glob("*.pause")
        monkeypatch.setenv("MESH_CONFIG", servers.mesh(other))
        publish(task_context(Instance(run_id="elsewhere")))
        assert len(connected) == 2
        monkeypatch.setenv("MESH_CONFIG", servers.mesh(port))
        long_ago = time.time() - 31
        os.utime(marker, (long_ago, long_ago))
        publish(task_context(Instance(run_id="later")))
        assert len(connected) == 3
    assert len(waiting(spool)) == 22


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("MESH_CONFIG", "{", "MESH_CONFIG is not JSON"),
        ("MESH_CONFIG", "{}", "has no object 'interservice-bus'"),
        ("DKIST_MESSAGE_CA_FILE", "/no/such/file", "DKIST_MESSAGE_CA_FILE names '/no/such/file'"),
    ],
)
def test_a_faulty_setting_is_named_and_the_message_kept(
    name: str,
    value: str,
    complaint: str,
    *,
    spool: Spool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A mistake in the configuration is no reason to lose a message."""
    monkeypatch.setenv(name, value)
    publish(task_context())
    assert complaint in caplog.text
    assert len(waiting(spool)) == 1


def test_a_faulty_deadline_is_named_and_three_seconds_used(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A deadline that is no number does not switch the deadline off."""
    monkeypatch.setenv("DKIST_MESSAGE_DEADLINE_SECONDS", "soon")
    publish(task_context())
    assert "must be a number of seconds above 0, not 'soon'; the deadline is 3.0 s" in caplog.text
    assert len(waiting(spool)) == 1


@pytest.mark.parametrize("folder", ["relative", "/proc/no-such-folder"])
def test_without_a_spool_the_log_has_the_message(
    folder: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What can be neither spooled nor published is in the log, complete."""
    monkeypatch.setenv("DKIST_MESSAGE_SPOOL", folder)
    publish(task_context())
    last = caplog.records[-1].getMessage()
    assert "neither spooled nor published" in last
    assert json.loads(last[last.index("{") :])["taskName"] == "Calibrate"


def test_the_dag_reports_every_failed_task(spool: Spool) -> None:
    """The callback of the DAG, which names one task, reports the others too; each once."""
    instance = Instance(states={"Parse": "failed", "Calibrate": "failed", "Write": "upstream_failed"})
    publish(dag_context(instance))
    assert [message["taskName"] for message in waiting(spool)] == ["Calibrate", "Parse"]


def test_airflow_does_not_return_the_states(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Airflow has no answer, the task that it names is reported."""

    def raise_error(*_: Any, **__: Any) -> None:
        raise RuntimeError("Unhandled request")

    monkeypatch.setattr(Instance, "get_task_states", raise_error)
    publish(dag_context())
    assert [message["taskName"] for message in waiting(spool)] == ["Calibrate"]


def test_airflow_that_does_not_answer(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose API server hangs goes on with what the context says, while there is time to publish."""
    monkeypatch.setattr(Instance, "get_task_states", lambda *_, **__: time.sleep(600))
    assert publish(task_context()) < 2 + SLACK_SECONDS
    assert [message["taskName"] for message in waiting(spool)] == ["Calibrate"]


@pytest.mark.parametrize(
    ("state", "count"), [("success", 0), ("restarting", 0), ("failed", 1), ("running", 1), (None, 1)]
)
def test_a_task_that_was_ended_by_hand_has_not_failed(state: str | None, count: int, spool: Spool) -> None:
    """Airflow calls back, too, when a running task is marked as success or cleared."""
    publish(task_context(Instance(states={"Calibrate": state})))
    assert len(waiting(spool)) == count


STOPPED = type("TaskTerminated", (Exception,), {})


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        ("failed", (1, 0)),
        ("running", (1, 0)),
        ("skipped", (1, 0)),
        ("success", (0, 0)),
        ("restarting", (0, 0)),
        ("queued", (0, 1)),
        (None, (0, 1)),
    ],
)
def test_a_stopped_task_has_failed_if_airflow_says_so(state: str | None, counts: tuple[int, int], spool: Spool) -> None:
    """Somebody has stopped it: marked, cleared, or shut its worker down. What is unclear waits for a reconciliation."""
    publish(task_context(Instance(states={"Calibrate": state}), exception=STOPPED()))
    assert (len(spool.paths()), len(spool.undecided.paths())) == counts
    for path in (*spool.paths(), *spool.undecided.paths()):
        assert json.loads(path.read_bytes())["reason"] == (
            "TaskTerminated: the task was stopped from outside: it was marked or cleared, or its worker was shut down"
        )


@pytest.mark.parametrize(
    "error", [RuntimeError("Airflow stopped it: marked"), ValueError("x (Airflow stopped it: cleared)"), STOPPED("x")]
)
def test_what_says_that_a_task_was_stopped(error: Exception, spool: Spool) -> None:
    """The exception of the launcher, or the words of the operator in the DAG file."""
    assert STOPPED_BY_AIRFLOW in inspect.getsource(body)
    publish(task_context(Instance(states={"Calibrate": None}), exception=error))
    assert (len(spool.paths()), len(spool.undecided.paths())) == (0, 1)


def test_a_stopped_task_and_an_airflow_that_does_not_answer(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may have been marked as success, so no alert is sent; the message survives, and the log says where it is."""
    monkeypatch.setattr(Instance, "get_task_states", lambda *_, **__: time.sleep(600))
    assert publish(task_context(exception=STOPPED("SIGTERM"))) < 2 + SLACK_SECONDS
    assert (len(spool.paths()), len(spool.undecided.paths())) == (0, 1)
    assert "messages reconcile" in caplog.text


def test_a_stopped_task_is_reported_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message too many is better than one that is lost."""
    spool = servers.use_no_broker(monkeypatch, tmp_path / "other")
    spool.folder.mkdir(mode=0o700)
    (spool.folder / "undecided").touch()
    publish(task_context(Instance(states={"Calibrate": None}), exception=STOPPED()))
    assert len(spool.paths()) == 1


@pytest.mark.parametrize("state", ["restarting", "running"])
def test_nobody_sends_a_message_while_airflow_is_asked(
    state: str, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other callbacks of this host publish what waits: not a message of a task that may not have failed."""
    claimed: list[int] = []

    def states(*_: Any, **__: Any) -> dict[str, dict[str, str]]:
        assert len(spool.paths()) == 1  # it would survive this process
        claimed.append(len(list(Spool(spool.folder).claims())))
        return {Instance().run_id: {"Calibrate": state}}

    monkeypatch.setattr(Instance, "get_task_states", states)
    publish(task_context())
    assert claimed == [0]
    assert len(list(spool.claims())) == (state == "running")


@pytest.mark.parametrize("context", [None, {}, [], {"ti": None}, {"reason": None}, {"ti": object(), "dag_run": 1}])
def test_never_raises(context: Any, spool: Spool) -> None:
    """Whatever is passed, a message says that something has failed."""
    publish(context)
    assert len(waiting(spool)) == 1


def test_never_raises_on_its_own_faults(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours is in the log, and not in Airflow's way."""

    def raise_error(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("dkist_airflow_node.messages.failure.named_task", raise_error)
    publish(task_context())
    assert "may not have been published" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_import_is_cheap_and_has_no_pika() -> None:
    """A callback's import must not delay the dag-processor."""
    program = (
        "import sys, dkist_airflow_node.messages.failure as f; print('pika' in sys.modules, 'airflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "False False\n"


def test_airflow_before_3_2(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a task that was cleared while its run went on has the run's old number, and yet a key of its own."""
    first, again = Instance(), Instance(try_number=2)
    again.max_tries = 1
    publish(task_context(first, task=SimpleNamespace(retries=0)))
    publish(task_context(again, task=SimpleNamespace(retries=0)))
    # The callback of the DAG there names any task, and on 3.0 nobody knows which have failed.
    monkeypatch.setitem(sys.modules, "airflow.sdk.execution_time.comms", ModuleType("comms"))
    publish(dag_context())
    assert [message["taskName"] for message in waiting(spool)] == ["Calibrate", "Calibrate", None]
    assert len({message["idempotencyKey"] for message in waiting(spool)}) == 3
