"""Failures of a real Airflow whose messages are lost, reported afterwards to a real broker.

Needs RabbitMQ's programs (Debian: ``rabbitmq-server``); broker and Airflow are this module's own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dkist_airflow_node.commands import main
from dkist_airflow_node.messages import QUEUE, FailureMessage, Spool, read_message
from harness.airflow import PrivateAirflow
from harness.rabbitmq import PrivateRabbitMQ
from tests.dkist_airflow_node.messages.servers import mesh
from tests.dkist_airflow_node.messages.test_failure_airflow import (
    INSTRUMENT,
    RUN_TIMES_OUT,
    SETTLE_SECONDS,
    WAIT_SECONDS,
    Node,
    environment,
    is_of_dag,
    start,
)
from tests.dkist_airflow_node.worker.runner_host import RunnerHost, task
from tests.dkist_airflow_node.worker.worker import wait_for

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> RunnerHost:
    """Return a worker host with a release of the instrument package."""
    worker = RunnerHost(tmp_path_factory.mktemp("worker"))
    worker.release(INSTRUMENT)
    return worker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRabbitMQ]:
    """Return a broker that Airflow cannot reach."""
    with PrivateRabbitMQ(tmp_path_factory.mktemp("broker") / "rabbitmq") as rabbitmq:
        yield rabbitmq


@pytest.fixture(scope="module")
def airflow(
    worker: RunnerHost, broker: PrivateRabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateAirflow]:
    """Return an Airflow whose callbacks spool on a host that is lost, and reach no broker."""
    home = tmp_path_factory.mktemp("airflow")
    lost = {"MESH_CONFIG": mesh(1), "DKIST_MESSAGE_SPOOL": str(worker.folder / "lost")}
    with PrivateAirflow(home / "airflow", env={**environment(worker, broker), **lost}) as airflow:
        yield airflow
    worker.end_all()


def wait_for_end(airflow: PrivateAirflow, worker: RunnerHost, dag_id: str, run_id: str, *, of_dag: int) -> None:
    """Wait until a run has failed, the DAG's callbacks have spooled some messages, and no more is to be expected."""
    assert airflow.wait_for_run(dag_id, run_id, timeout=WAIT_SECONDS) == "failed"
    spool = Spool(worker.folder / "lost")

    def is_spooled() -> bool:
        bodies = (json.loads(read_message(path)) for path in spool.paths())
        return len([body for body in bodies if body["dagRunId"] == run_id and is_of_dag(body)]) >= of_dag

    wait_for(is_spooled, f"{of_dag} messages of the dag-processor")
    time.sleep(SETTLE_SECONDS)


def test_lost_messages_are_sent_once(
    airflow: PrivateAirflow,
    worker: RunnerHost,
    broker: PrivateRabbitMQ,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each failure comes once, with the key that the lost message had; a second reconciliation finds none."""
    raising, retried = task("Raise"), task("RetryAndFail", retries=1, retry_delay_seconds=1)
    nodes: list[Node] = [raising, retried, task("RunOutOfMemory"), (task("Never"), raising)]
    dag_id, plain = start(airflow, worker, "lostmessages", nodes)
    wait_for_end(airflow, worker, dag_id, plain, of_dag=3)
    cleared = airflow.trigger(dag_id, recipe_run_id=8, run_id="cleared+1")
    wait_for_end(airflow, worker, dag_id, cleared, of_dag=3)
    airflow.clear(dag_id, cleared)
    wait_for_end(airflow, worker, dag_id, cleared, of_dag=6)

    sleeping, by_hand = start(airflow, worker, "byhandonly", [task("Sleep")])
    airflow.wait_for_task(sleeping, by_hand, "Sleep", {"running"}, timeout=WAIT_SECONDS)
    airflow.set_state(sleeping, by_hand, "Sleep", "success")
    airflow.wait_for_run(sleeping, by_hand)
    airflow.request("PATCH", f"/api/v2/dags/{sleeping}/dagRuns/byhandonly%2B1", {"state": "failed"})

    slow, too_long = start(airflow, worker, "slowrun", [task("Sleep")], RUN_TIMES_OUT)
    wait_for_end(airflow, worker, slow, too_long, of_dag=1)

    lost = [FailureMessage.from_json(read_message(path)) for path in Spool(worker.folder / "lost").paths()]
    expected = {(one.dag_run_id, one.task_name, one.idempotency_key) for one in lost}
    older = {("cleared+1", one.task_name, one.idempotency_key) for one in lost if one.dag_run_id == cleared}
    assert len(older) == 6, "each of three tasks has failed before and after the clearing"

    monkeypatch.setenv("DKIST_AIRFLOW_URL", airflow.url)
    monkeypatch.setenv("DKIST_MESSAGE_SPOOL", str(tmp_path / "spool"))
    for name, text in broker.settings.items():
        monkeypatch.setenv(name, text)
    assert main(["messages", "reconcile", "--since", "1h"]) == 0
    assert main(["messages", "resend"]) == 0
    sent = [json.loads(body) for body in broker.take(QUEUE)]
    found = {(one["dagRunId"], one["taskName"], one["idempotencyKey"]) for one in sent}
    assert len(sent) == len(found) == 8
    (whole,) = [one for one in sent if one["taskName"] is None]
    assert whole["dagRunId"] == by_hand
    assert [one["taskName"] for one in sent if one["dagRunId"] == too_long] == ["Sleep"]
    assert {one for one in found if one[1] is not None} <= expected
    reasons = {one["taskName"]: one["reason"] for one in sent if one["dagRunId"] == plain}
    assert "SystemExit" in reasons["Raise"] or "1" in reasons["Raise"]
    assert "worker was lost" in reasons["RunOutOfMemory"]
    assert {one["recipeRunId"] for one in sent} == {7, 8}
    assert {one["source"] for one in sent} == {"reconciler"}
    in_callback = {one.log_url for one in lost if one.dag_run_id == plain and one.source == "worker"}
    assert in_callback <= {one["logUrl"] for one in sent}

    capsys.readouterr()
    assert main(["messages", "reconcile", "--since", "1h"]) == 0
    assert "; 0 not reported before" in capsys.readouterr().out
    assert Spool(tmp_path / "spool").paths() == []

    assert main(["status"]) == 0
    page = capsys.readouterr().out
    assert "test_lostmessages 1.0.0" in page
    assert "Messages: 0 waiting; 0 set aside; 8 confirmed in 24h" in page
    assert "Airflow: MISSING" not in page
