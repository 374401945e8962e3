"""The private Airflow that other tests rely on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.airflow import AirflowStartError, PrivateAirflow
from harness.process import GuardedProcess
from harness.rest import AirflowRefusalError, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]

DAG = """
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

with DAG("small", schedule=None, is_paused_upon_creation=False,
         params={"recipe_run_id": Param(type="integer", minimum=1)}):
    first = BashOperator(task_id="first", bash_command="echo id is {{ params.recipe_run_id }} $HELLO")
    second = BashOperator(task_id="second", bash_command="echo about to fail; exit 3")
    first >> second
"""


def test_runs_a_dag_and_tells_what_happened(tmp_path: Path) -> None:
    """A DAG file put into the folder runs; states, log, refusals and import errors can be read."""
    with PrivateAirflow(tmp_path / "airflow", env={"HELLO": "world"}) as airflow:
        (airflow.dags / "small.py").write_text(DAG)
        (airflow.dags / "broken.py").write_text("from airflow.sdk import DAG\nimport absent_module\n")
        airflow.wait_for_dag("small")
        with pytest.raises(AirflowRefusalError, match="recipe_run_id") as refusal:
            airflow.trigger("small", recipe_run_id=0)
        assert refusal.value.status == 400
        changes: list[TaskState] = []
        run_id = airflow.trigger("small", recipe_run_id=7, run_id="run+one")
        assert airflow.wait_for_run("small", run_id, on_change=changes.append) == "failed"
        tasks = airflow.tasks("small", run_id)
        assert {name: task.state for name, task in tasks.items()} == {"first": "success", "second": "failed"}
        assert (tasks["first"].seconds or 0) > 0
        assert [change.state for change in changes if change.name == "first"][-1] == "success"
        airflow.wait_for_log("small", run_id, "first", "id is 7 world")
        assert "about to fail" in airflow.logs("small", run_id)
        _wait_for(lambda: "broken.py" in airflow.import_errors())  # the two files are read one after the other
        assert "absent_module" in airflow.import_errors()["broken.py"]
        processes = [airflow.component(name).pid for name in ("scheduler", "dag-processor", "api-server")]
    assert not any(Path(f"/proc/{pid}").exists() for pid in processes)


def test_a_component_that_dies_is_an_error_with_its_log(tmp_path: Path) -> None:
    """A setting that Airflow cannot use ends the start at once, with the log of the component that failed."""
    airflow = PrivateAirflow(tmp_path / "airflow", executor="NoSuchExecutor")
    with pytest.raises(AirflowStartError, match="NoSuchExecutor"), airflow:
        pass


TREE = "setsid sleep 300 & trap '' TERM; sleep 300 & echo started; wait; wait"


def test_stop_leaves_no_descendant(tmp_path: Path) -> None:
    """No process is left when stop returns, not even one in another session or one that ignores SIGTERM."""
    log = tmp_path / "log"
    with GuardedProcess("tree", ["bash", "-c", TREE], log=log, env=dict(os.environ), grace_seconds=1) as process:
        _wait_for(lambda: "started" in log.read_text())
        assert process.status is None
        tree = _tree(process.pid)
        assert len(tree) == 3
    assert not [pid for pid in tree if Path(f"/proc/{pid}").exists()]


def test_a_killed_owner_leaves_no_descendant(tmp_path: Path) -> None:
    """A SIGKILL of the process that owns a guarded one ends the whole tree."""
    log = tmp_path / "log"
    code = (
        "import os, time; from pathlib import Path; from harness.process import GuardedProcess\n"
        f"command, log = ['bash', '-c', {TREE!r}], Path({str(log)!r})\n"
        "p = GuardedProcess('tree', command, log=log, env=dict(os.environ), grace_seconds=1)\n"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner, owner.stdout:
        pid = int(owner.stdout.readline())
        _wait_for(lambda: "started" in log.read_text())
        tree = _tree(pid)
        owner.kill()
    _wait_for(lambda: not [pid for pid in tree if Path(f"/proc/{pid}").exists()])


def test_a_killed_command_is_reported_and_its_children_are_left_alone(tmp_path: Path) -> None:
    """SIGKILL ends the command only. Its status is the signal, and its children run on until stop."""
    log = tmp_path / "log"
    with GuardedProcess("tree", ["bash", "-c", TREE], log=log, env=dict(os.environ), grace_seconds=1) as process:
        _wait_for(lambda: "started" in log.read_text())
        children = [pid for pid in _tree(process.pid) if pid != process.pid]
        process.kill()
        _wait_for(lambda: process.status is not None)
        assert process.status == -signal.SIGKILL
        assert all(Path(f"/proc/{pid}").exists() for pid in children)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        found += [int(child) for child in children.split()]
    return found


def _wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
