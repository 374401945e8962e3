"""What Airflow knows to have failed and nobody has reported, with a small server that speaks the API's shapes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dkist_airflow_node.errors import SiteError, SpoolError
from dkist_airflow_node.messages import Ledger, Spool, read_message
from dkist_airflow_node.site import Reconciliation
from dkist_airflow_node.site.undecided import Decisions
from tests.dkist_airflow_node.site.airflow_server import (
    CREATED,
    NOW,
    AirflowServer,
    dag_row,
    iso,
    run_row,
    task_row,
)
from tests.dkist_airflow_node.site.reconciled import callback_key, run, spooled

CLEARED = CREATED + timedelta(minutes=30)
HOSTILE = "x\x1b[2J\u202e'; DROP TABLE\nvbi/../..%2f#?"


def cleared(server: AirflowServer, number: int = 1) -> None:
    """Have the failed task cleared some times, so that it has failed again each time."""
    times = [CREATED + timedelta(minutes=10 * each) for each in range(number + 1)]
    attempts = [
        task_row(
            made=time,
            try_number=each + 1,
            max_tries=each,
            scheduled_when=iso(time + timedelta(seconds=2)),
            start_date=iso(time + timedelta(seconds=3)),
            end_date=iso(time + timedelta(seconds=9)),
        )
        for each, time in enumerate(times)
    ]
    server.tasks = [attempts[-1], task_row("Parse", state="success")]
    server.tries["Calibrate"] = attempts
    server.runs = [run_row(queued_at=iso(times[-1]))]


def test_a_failure_that_nobody_has_reported(server: AirflowServer, spool: Spool) -> None:
    """The message has all that a callback would say, from the run, the task and its log; and the callbacks' key."""
    error = {"exc_type": "FrameError", "exc_value": "no image", "frames": []}
    server.logs["Calibrate"] = [
        {"event": "one", "error_detail": [{"exc_type": "Older", "exc_value": "x"}]},
        {"event": 'says "error_detail" itself'},
        {"event": "Task failed with exception", "error_detail": [error]},
    ]
    found = run(server, spool)
    assert (found.runs, found.failures) == (1, 1)
    (message,) = spooled(spool)
    assert (message,) == found.missing
    assert message.idempotency_key == callback_key() == callback_key(is_dag=True)
    assert (message.workflow_name, message.workflow_version, message.task_name) == ("vbi_l0", "1.0.0", "Calibrate")
    assert (message.dag_run_id, message.recipe_run_id, message.try_number) == ("r1", 7, 1)
    assert (message.source, message.reason) == ("reconciler", "FrameError: no image")
    assert message.log_url == f"{server.url}/dags/vbi_l0_1.0.0/runs/r1/tasks/Calibrate?try_number=1"


def test_once(server: AirflowServer, spool: Spool) -> None:
    """A message that waits is not made again, nor one that was confirmed, set aside or refused."""
    assert len(run(server, spool).missing) == 1
    assert run(server, spool).missing == ()
    (path,) = spool.paths()
    (spool.folder / "refused").mkdir()
    path.rename(spool.folder / "refused" / path.name)
    assert run(server, spool).missing == ()
    (spool.folder / "refused" / path.name).unlink()
    Ledger(spool.folder).add(callback_key())
    assert run(server, spool).missing == ()
    assert spool.paths() == []


def test_two_at_once(server: AirflowServer, spool: Spool) -> None:
    """Two reconciliations of one spool, also the first two, make one message of each failure."""
    server.tasks = [task_row(f"T{number}") for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        found = [future.result() for future in [pool.submit(run, server, spool) for _ in range(4)]]
    assert sum(len(each.missing) for each in found) == 20
    assert len(spool.paths()) == len({message.idempotency_key for message in spooled(spool)}) == 20


def test_another_host(server: AirflowServer, spool: Spool, tmp_path: Path) -> None:
    """It reports the failure too, with the same key."""
    other = Spool(tmp_path / "other")
    (one,), (two,) = run(server, spool).missing, run(server, other).missing
    assert one.idempotency_key == two.idempotency_key
    assert one.conversation_id != two.conversation_id


def test_a_dry_run_writes_nothing(server: AirflowServer, spool: Spool) -> None:
    """It finds the failure, and the spool does not even exist afterwards."""
    assert len(run(server, spool, is_dry=True).missing) == 1
    assert not spool.folder.exists()


@pytest.mark.parametrize("state", ["up_for_retry", "removed", "upstream_failed", "skipped", "success", "running", None])
def test_what_is_no_failure(server: AirflowServer, spool: Spool, state: str | None) -> None:
    """Only a task that has failed for good is reported."""
    server.tasks.append(task_row("Other", state=state, end_date=iso(CREATED + timedelta(minutes=1))))
    assert [message.task_name for message in run(server, spool).missing] == ["Calibrate"]


def test_a_task_that_failed_in_a_run_that_goes_on(server: AirflowServer, spool: Spool) -> None:
    """Its failure is final, whatever comes of the run."""
    server.runs = [run_row(state="running")]
    assert [message.task_name for message in run(server, spool).missing] == ["Calibrate"]


def test_a_run_that_was_failed_by_hand(server: AirflowServer, spool: Spool) -> None:
    """No task has failed: one message names the run."""
    server.tasks = [task_row(state="success"), task_row("Write", state="skipped", try_number=0, hostname="")]
    (message,) = run(server, spool).missing
    assert (message.task_name, message.log_url, message.try_number) == (None, None, None)
    assert message.dag_run_id == "r1"
    assert "marked as failed" in str(message.reason)
    assert run(server, spool).missing == ()


@pytest.mark.parametrize("end", [None, iso(NOW - timedelta(hours=1))], ids=["no end", "the end of the run"])
def test_a_run_that_took_too_long(server: AirflowServer, spool: Spool, end: str | None) -> None:
    """Airflow records what it stops as skipped; callbacks report those tasks, so their keys count."""
    early = task_row("SkippedItself", state="skipped", end_date=iso(NOW - timedelta(hours=1, seconds=1)))
    server.tasks = [task_row(state="skipped", end_date=end), early, task_row("Raised", end_date=iso(CREATED))]
    messages = {message.task_name: message for message in run(server, spool).missing}
    assert set(messages) == {"Calibrate", "Raised"}
    assert messages["Calibrate"].idempotency_key == callback_key()
    assert "took too long" in str(messages["Calibrate"].reason)


def test_a_run_that_took_too_long_while_a_task_waited_for_its_retry(server: AirflowServer, spool: Spool) -> None:
    """The dag-processor names that task; without its message the run is named."""
    server.tasks = [task_row(state="skipped", end_date=iso(CREATED + timedelta(minutes=1)))]
    assert [message.task_name for message in run(server, spool, is_dry=True).missing] == [None]
    spool.folder.mkdir()
    Ledger(spool.folder).add(callback_key())
    assert run(server, spool).missing == ()


def test_a_mapped_task(server: AirflowServer, spool: Spool) -> None:
    """Each instance is a failure of its own, with the key and the log page that a callback gives it."""
    server.tasks = [task_row(map_index=0, state="success"), task_row(map_index=1), task_row(map_index=2)]
    messages = run(server, spool).missing
    assert {message.idempotency_key for message in messages} == {callback_key(map_index=index) for index in (1, 2)}
    assert "/mapped/1?" in str(messages[0].log_url) + str(messages[1].log_url)


@pytest.mark.parametrize("number", [1, 3])
def test_a_run_that_was_cleared(server: AirflowServer, spool: Spool, number: int) -> None:
    """The failure has a key of its own: that of the callbacks, who know how often the run was cleared."""
    cleared(server, number)
    Ledger(spool.folder).folder.parent.mkdir()
    Ledger(spool.folder).add(callback_key(number - 1), now=CREATED.timestamp() + 20)
    (message,) = run(server, spool).missing
    assert (message.idempotency_key, message.try_number) == (callback_key(number), number + 1)
    Ledger(spool.folder).add(callback_key(number))
    for path in spool.paths():
        path.unlink()
    assert run(server, spool).missing == ()


def test_a_clearing_without_a_trace(server: AirflowServer, spool: Spool) -> None:
    """A confirmed key proves that the run was cleared more often than Airflow shows."""
    cleared(server)
    spool.folder.mkdir()
    Ledger(spool.folder).add(callback_key(2))
    assert run(server, spool).missing == ()


def test_a_key_of_an_older_failure_is_not_used_again(server: AirflowServer, spool: Spool) -> None:
    """Whoever reads the queue would take the new failure for the old one."""
    cleared(server)
    spool.folder.mkdir()
    Ledger(spool.folder).add(callback_key(1), now=CREATED.timestamp() + 60)
    (message,) = run(server, spool).missing
    assert message.idempotency_key == callback_key(2)


def test_a_failure_before_another_task_was_cleared(server: AirflowServer, spool: Spool) -> None:
    """The worker reported it with the number of that time, the dag-processor with a later one: either will do."""
    server.tasks = [
        task_row(end_date=iso(CREATED + timedelta(minutes=1))),
        task_row("Other", made=CLEARED, state="success"),
    ]
    server.runs = [run_row(queued_at=iso(CLEARED))]
    for number in (0, 1):
        other = Spool(spool.folder / str(number))
        other.folder.mkdir(parents=True)
        assert [message.idempotency_key for message in run(server, other, is_dry=True).missing] == [callback_key(0)]
        Ledger(other.folder).add(callback_key(number))
        assert run(server, other).missing == ()


def test_airflow_before_32(server: AirflowServer, spool: Spool) -> None:
    """Its workers count otherwise when a task is cleared in a run that goes on: their key counts too."""
    server.version = "3.0.6"
    cleared(server)
    server.tasks.append(task_row("Long", start_date=iso(CREATED), end_date=iso(NOW), state="success"))
    server.runs = [run_row()]
    assert [message.idempotency_key for message in run(server, spool, is_dry=True).missing] == [callback_key(0)]
    spool.folder.mkdir()
    Ledger(spool.folder).add(callback_key(-1))
    assert run(server, spool).missing == ()


def test_young_failures_are_left_to_the_callbacks(server: AirflowServer, spool: Spool) -> None:
    """The grace counts from the end of the task."""
    assert run(server, spool, until=NOW - timedelta(hours=1, seconds=1)).missing == ()
    assert len(run(server, spool, until=NOW - timedelta(minutes=59)).missing) == 1


def test_old_failures_are_left_out(server: AirflowServer, spool: Spool) -> None:
    """What ended before the span is not asked for."""
    assert run(server, spool, since=NOW - timedelta(minutes=59)) == Reconciliation(0, 0, (), Decisions(0, 0))


def test_several_hundred_runs(server: AirflowServer, spool: Spool) -> None:
    """Each failure of each run once, in many pages; the runs' tasks are asked for together."""
    server.runs = [run_row(f"r{number}") for number in range(450)]
    server.tasks = [task_row(name, f"r{number}") for number in range(450) for name in ("A", "B")]
    Ledger(spool.folder).folder.mkdir(parents=True)
    found = run(server, spool, is_dry=True)
    assert (found.runs, found.failures) == (450, 900)
    assert len({message.idempotency_key for message in found.missing}) == 900
    assert sum("/list" in line for line in server.asked) < 80


def test_workflows_of_others(server: AirflowServer, spool: Spool) -> None:
    """A DAG that was not exported is not ours to report."""
    server.dags = [dag_row("vbi_l0_1.0.0", owner="someone")]
    assert run(server, spool) == Reconciliation(0, 0, (), Decisions(0, 0))
    assert not any("/list" in line for line in server.asked)


def test_hostile_text(server: AirflowServer, spool: Spool) -> None:
    """Whatever Airflow says is text: in the message as it is, in addresses quoted, and never longer than allowed."""
    server.runs = [run_row(HOSTILE, conf={"recipe_run_id": HOSTILE})]
    server.tasks = [task_row(HOSTILE, HOSTILE)]
    server.logs[HOSTILE] = [
        {"event": "x", "error_detail": [{"exc_type": HOSTILE, "exc_value": "\ud800" + "y" * 10**5}]}
    ]
    (message,) = run(server, spool).missing
    assert (message.task_name, message.dag_run_id, message.recipe_run_id) == (HOSTILE, HOSTILE, None)
    assert len(str(message.reason)) <= 1000
    assert "\n" not in str(message.log_url)
    assert " " not in str(message.log_url)
    assert spooled(spool) == [message]


@pytest.mark.parametrize(
    "log", [[], ["text"], [{"event": "e", "error_detail": "none"}], [{"error_detail": [{}]}], None]
)
def test_a_log_without_an_error(server: AirflowServer, spool: Spool, log: Any) -> None:
    """Then the message says what Airflow knows."""
    if log is not None:
        server.logs["Calibrate"] = log
    (message,) = run(server, spool).missing
    assert "its worker was lost" in str(message.reason)


@pytest.mark.parametrize(
    "broken",
    [
        {"run_after": None},
        {"run_after": "yesterday"},
        {"dag_run_id": "\ud800"},
    ],
)
def test_a_run_that_cannot_be_understood(server: AirflowServer, spool: Spool, broken: dict[str, Any]) -> None:
    """It is one clear error, not half a reconciliation."""
    server.runs = [run_row(**broken)] if "dag_run_id" not in broken else [{**run_row(), **broken}]
    with pytest.raises(SiteError, match="Airflow describes a run without"):
        run(server, spool)
    assert not spool.folder.exists()


def test_a_run_that_was_deleted_meanwhile(server: AirflowServer, spool: Spool) -> None:
    """There is nothing left to report."""
    server.runs = []
    assert run(server, spool).missing == ()


def test_a_spool_that_cannot_be_written(server: AirflowServer, spool: Spool) -> None:
    """The error names the spool, and the next reconciliation finds the failure again."""
    spool.folder.parent.joinpath("spool").touch()
    with pytest.raises(SpoolError, match=r"the spool .* cannot be"):
        run(server, spool)
    spool.folder.unlink()
    assert len(run(server, spool).missing) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from dkist_airflow_node.messages import Spool
from dkist_airflow_node.site import AirflowApi, reconcile, site_settings
from datetime import datetime, timedelta, UTC
class Mortal(Spool):
    def add(self, body):
        path = super().add(body)
        if len(self.paths()) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return path
now = datetime.now(UTC)
reconcile(AirflowApi(site_settings(os.environ)), Mortal(Path(sys.argv[1])), since=now - timedelta(days=1), until=now)
"""


def test_killed_in_the_middle(server: AirflowServer, spool: Spool) -> None:
    """The next reconciliation makes the messages that are missing, and no others."""
    server.tasks = [task_row(f"T{number}") for number in range(10)]
    env = {**os.environ, "DKIST_AIRFLOW_URL": server.url}
    done = subprocess.run([sys.executable, "-c", KILLED, str(spool.folder)], env=env, check=False)
    assert done.returncode == -9
    assert len(spool.paths()) == 5
    assert len(run(server, spool).missing) == 5
    assert {message.task_name for message in spooled(spool)} == {f"T{number}" for number in range(10)}
    assert json.loads(read_message(spool.paths()[0]))["source"] == "reconciler"
