"""From what the listener hears to the spool, in a process that must not be disturbed."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dkist_airflow_node.messages import listener
from dkist_airflow_node.messages.airflow_row import Failures
from dkist_airflow_node.messages.exported_dag import ExportedWorkflow
from dkist_airflow_node.messages.failed_task import stored_task
from dkist_airflow_node.messages.listener import Writer, hear_failed_run, hear_failed_task
from dkist_airflow_node.messages.spool import Spool

ROW = SimpleNamespace(_sa_instance_state=None)


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """Return the spool of the listener."""
    monkeypatch.setenv("DKIST_MESSAGE_SPOOL", str(tmp_path / "spool"))
    return Spool(tmp_path / "spool")


def failures(*names: str, try_number: int = 1) -> Failures:
    """Return failed tasks of one run."""
    run = {"dag_id": "vbi_l0_1.0.0", "run_id": "r1", "clear_number": 0, "conf": {"recipe_run_id": 7}}
    rows = ({"task_id": name, "map_index": -1, "try_number": try_number, "max_tries": 0} for name in names)
    tasks = tuple(stored_task(run, row, reason="task_failure", base_url=None) for row in rows)
    return Failures(ExportedWorkflow("vbi_l0", "1.0.0"), tasks)


def waiting(spool: Spool) -> list[str]:
    """Return the tasks of the messages that wait."""
    return [json.loads(path.read_bytes())["taskName"] for path in spool.paths()]


def test_failures_are_spooled_once(spool: Spool) -> None:
    """Airflow reports a mark through the task and through the run; a later attempt is another failure."""
    writer = Writer()
    for each in (failures("A"), failures("A", "B"), failures("A", try_number=2)):
        writer.put(each)
    assert writer.wait(60)
    assert waiting(spool) == ["A", "B", "A"]
    assert {json.loads(path.read_bytes())["source"] for path in spool.paths()} == {"listener"}


def test_hooks_never_raise(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours is in the log, and not in Airflow's way."""

    def raise_error(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(listener, "failures_of_run", raise_error)
    monkeypatch.setattr(listener, "failure_of_task", raise_error)
    hear_failed_run(ROW, "task_failure")
    hear_failed_task(ROW, "x")
    assert caplog.text.count("A failure may have been missed") == 2
    caplog.clear()
    hear_failed_task(SimpleNamespace(), "x")  # the task's own process
    assert caplog.text == ""


def test_the_loop_does_not_wait_for_a_disk(monkeypatch: pytest.MonkeyPatch, spool: Spool) -> None:
    """A spool that hangs, or fails in a way that nobody foresaw, delays nothing and stops nothing."""
    steps: list[str] = []
    is_over = threading.Event()
    add = Spool.add

    def hang_then_fail(self: Spool, body: bytes) -> Path:
        steps.append("add")
        if len(steps) == 1:
            if not is_over.wait(30):
                steps.append("the hook waited")
            raise ZeroDivisionError
        return add(self, body)

    monkeypatch.setattr(Spool, "add", hang_then_fail)
    monkeypatch.setattr(listener, "_writer", Writer())
    monkeypatch.setattr(listener, "failures_of_run", lambda *_: failures("A"))
    begin = time.thread_time()
    hear_failed_run(ROW, "task_failure")
    assert time.thread_time() - begin < 0.01
    is_over.set()
    monkeypatch.setattr(listener, "failures_of_run", lambda *_: failures("B"))
    hear_failed_run(ROW, "task_failure")
    assert listener._writer.wait(60)
    assert steps == ["add", "add"]
    assert waiting(spool) == ["B"]


def test_a_spool_that_takes_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the complete message, and the next one of the same failure is tried again."""
    writer = Writer()
    monkeypatch.setenv("DKIST_MESSAGE_SPOOL", "no/absolute/path")
    with caplog.at_level(logging.ERROR):
        writer.put(failures("A"))
        assert writer.wait(60)
    assert "neither spooled nor published" in caplog.text
    assert '"taskName": "A"' in caplog.text
    monkeypatch.setenv("DKIST_MESSAGE_SPOOL", str(spool.folder))
    writer.put(failures("A"))
    assert writer.wait(60)
    assert waiting(spool) == ["A"]


def test_the_end_of_the_process_waits(spool: Spool) -> None:
    """What was heard just before the end is on disk; a forked child writes nothing of its parent's."""
    program = """
import os
from dkist_airflow_node.messages import listener
from tests.dkist_airflow_node.messages.test_listener import failures

listener._writer.put(failures("A", "B"))
if (child := os.fork()) == 0:
    assert listener._writer.wait(0)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ, cwd=Path(__file__).parents[3])
    assert waiting(spool) == ["A", "B"]


def test_nobody_is_remembered_for_ever(monkeypatch: pytest.MonkeyPatch, spool: Spool) -> None:
    """A scheduler runs for months."""
    monkeypatch.setattr(listener, "REMEMBERED", 2)
    writer = Writer()
    items: list[Any] = [failures(name) for name in ("A", "B", "C", "A")]
    for item in items:
        writer.put(item)
    assert writer.wait(60)
    assert waiting(spool) == ["A", "B", "C", "A"]
