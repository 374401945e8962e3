"""Messages of tasks that were stopped while Airflow did not answer."""

from __future__ import annotations

import os
from pathlib import Path

from dkist_airflow_node.messages import FailureMessage, Source, Spool
from dkist_airflow_node.site.undecided import Decisions
from tests.dkist_airflow_node.site.airflow_server import NOW, AirflowServer, iso, run_row, task_row
from tests.dkist_airflow_node.site.reconciled import callback_key, run, spooled


def undecided(spool: Spool, key: str, *, dag_run_id: str = "r1") -> Path:
    """Keep a worker's message of a task that was stopped."""
    message = FailureMessage(
        workflow_name="vbi_l0",
        workflow_version="1.0.0",
        task_name="Calibrate",
        dag_run_id=dag_run_id,
        log_url=None,
        reason="TaskTerminated: SIGTERM",
        idempotency_key=key,
        source=Source.WORKER,
        time=iso(NOW),
    )
    return spool.undecided.add(message.to_json())


def test_an_undecided_message_of_a_failure_is_sent(server: AirflowServer, spool: Spool) -> None:
    """It is the one message of the failure; a dry run leaves it where it is."""
    path = undecided(spool, callback_key())
    dry = run(server, spool, is_dry=True)
    assert (dry.decisions, dry.missing) == (Decisions(failed=1, deleted=0), ())
    assert path.exists()
    found = run(server, spool)
    assert (found.decisions, found.missing) == (Decisions(failed=1, deleted=0), ())
    assert [message.source for message in spooled(spool)] == ["worker"]
    assert not spool.undecided.paths()
    assert run(server, spool).decisions == Decisions(failed=0, deleted=0)


def test_an_undecided_message_of_no_failure_is_deleted(server: AirflowServer, spool: Spool) -> None:
    """The task was marked as success: its run has ended without a failure, or is gone."""
    server.runs, server.tasks = [run_row(state="success")], [task_row(state="success")]
    undecided(spool, callback_key())
    undecided(spool, callback_key(3), dag_run_id="gone")
    assert run(server, spool).decisions == Decisions(failed=0, deleted=2)
    assert not spool.paths()
    assert not spool.undecided.paths()


def test_an_undecided_message_of_a_run_that_goes_on_waits(server: AirflowServer, spool: Spool) -> None:
    """Airflow may not have noticed yet that a worker is gone."""
    server.runs, server.tasks = [run_row(state="running", end_date=None)], [task_row(state="running", end_date=None)]
    path = undecided(spool, callback_key())
    assert run(server, spool).decisions == Decisions(failed=0, deleted=0)
    assert path.exists()


def test_an_undecided_message_that_is_no_message_blocks_nothing(server: AirflowServer, spool: Spool) -> None:
    """It is passed over."""
    path = undecided(spool, callback_key())
    path.with_name("0.json").write_text("{")
    path.with_name("1.json").mkdir()
    os.mkfifo(path.with_name("2.json"))
    assert run(server, spool).decisions == Decisions(failed=1, deleted=0)
