"""What a real Airflow shows of each way in which a task ends, and what reaches the failure message."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from dkist_airflow_node import Lock, render_dag_file
from dkist_airflow_node.worker import runner_modules
from dkist_workflow import Workflow
from harness.airflow import PrivateAirflow
from tests.dkist_airflow_node.dag.runners import stub
from tests.dkist_airflow_node.worker.runner_host import RunnerHost, task
from tests.dkist_airflow_node.worker.worker import PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.service, pytest.mark.timeout(600)]

BEHAVIOUR = """
name = REQUEST["environ"]["DKIST_TASK"].rpartition(":")[2]
if name == "Succeed":
    record("", group="task")
    print("printed")
    for level in ("INFO", "WARNING", "ERROR", "CRITICAL"):
        record(f"logged as {level}", level, "instrument.frames")
    record(json.dumps(REQUEST["watch"] + [os.getppid()]), logger="instrument.watch")
    end("success")
elif name == "Raise":
    end("failure", error_type="instrument.errors.FrameError", error="observe_0005.fits holds no image")
elif name == "Refuse":
    end("error", reason="recipe run id '-1' is not a positive integer", can_retry=False)
elif name == "Crash":
    os._exit(99)
elif name == "Skip":
    end("skip", reason="no polarimetric data")
elif name in ("TimeOut", "StopByHand"):
    print("waiting", flush=True)
    command = stop()
    record("stopping", "WARNING", "instrument")
    time.sleep(1)
    print("cleaned up")
    end(command["stop"], reason=command["text"])
elif name == "Flood":
    for number in range(50_000):
        print("line", number)
    end("success")
else:
    end("success")
"""

INSTRUMENT = """
class FrameError(Exception): pass
def RaiseForReal(): raise FrameError("observe_0005.fits holds no image")
def SucceedForReal(): print("for real")
def DieForReal(): import os; os.kill(os.getpid(), 11)
"""


def workflow_of(name: str) -> Workflow:
    """Return an empty workflow of the instrument package."""
    return Workflow(process_category="test", process_name=name, workflow_package="instrument", workflow_version="1.0.0")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> RunnerHost:
    """Return the worker's wheels and store."""
    host = RunnerHost(tmp_path_factory.mktemp("host"))
    host.release(INSTRUMENT)
    return host


@pytest.fixture(scope="module")
def airflow(host: RunnerHost) -> Iterator[PrivateAirflow]:
    """Start an Airflow whose failure messages stay in the spool: nobody listens at that port."""
    names = ("UV_FIND_LINKS", "UV_OFFLINE", "UV_CACHE_DIR", "DKIST_ENVIRONMENT_STORE")
    env = {name: host.variables()[name] for name in names} | {
        "DKIST_MESSAGE_SPOOL": str(host.folder / "spool"),
        "MESH_CONFIG": json.dumps({"interservice-bus": {"mesh_address": "127.0.0.1", "mesh_port": 1}}),
    }
    with PrivateAirflow(host.folder / "airflow", env=env) as airflow:
        yield airflow
    host.end_all()


def deploy(airflow: PrivateAirflow, host: RunnerHost, workflow: Workflow, runner: dict[str, str]) -> str:
    """Deploy a workflow's file with a runner, and start a run."""
    lock = Lock("requirements.txt", hashlib.sha256(host.lock.read_bytes()).hexdigest())
    content = render_dag_file(workflow, locks={(): lock}, python=PYTHON).decode()
    (airflow.dags / "requirements.txt").write_bytes(host.lock.read_bytes())
    (airflow.dags / f"{workflow.dag_id}.py").write_text(
        content.replace("dag = make_dag(", f"RUNNER = {runner!r}\ndag = make_dag("), encoding="utf-8"
    )
    airflow.wait_for_dag(workflow.dag_id)
    return airflow.trigger(workflow.dag_id, recipe_run_id=7)


def reasons(spool: Path, dag_id: str) -> dict[str, str]:
    """Return the reason of each task's failure message in the spool; the DAG's callback knows none."""
    bodies = [json.loads(path.read_text()) for path in spool.rglob("*.json")]
    own = [body for body in bodies if f"/{dag_id}/" in body["logUrl"] and body["reason"] != "task_failure"]
    return {body["taskName"]: body["reason"] for body in own}


def test_each_end_of_a_task_is_what_airflow_shows(airflow: PrivateAirflow, host: RunnerHost) -> None:
    """States, attempts, log levels, reasons and what is kept in the database, of nine tasks in one run."""
    workflow = workflow_of("ends")
    for each in (
        task("Succeed"),
        task("Raise", retries=1, retry_delay_seconds=0.1),
        task("Refuse", retries=1, retry_delay_seconds=0.1),
        task("Crash"),
        task("TimeOut", timeout_seconds=2),
        task("StopByHand"),
        task("Flood"),
        task("Skip"),
    ):
        workflow.add_node(each)
    workflow.add_node(task("AfterSkip"), upstreams=sys.modules["instrument"].Skip)
    run_id = deploy(airflow, host, workflow, stub(BEHAVIOUR))
    dag_id = workflow.dag_id
    airflow.wait_for_task(dag_id, run_id, "StopByHand", {"running"})
    airflow.wait_for_log(dag_id, run_id, "StopByHand", "waiting")  # the task's own process runs
    airflow.set_state(dag_id, run_id, "StopByHand")
    assert airflow.wait_for_run(dag_id, run_id) == "failed"

    states = {one.name: (one.state, one.try_number) for one in airflow.tasks(dag_id, run_id).values()}
    assert states == {
        "Succeed": ("success", 1),
        "Raise": ("failed", 2),
        "Refuse": ("failed", 1),
        "Crash": ("failed", 1),
        "TimeOut": ("failed", 1),
        "StopByHand": ("failed", 1),
        "Flood": ("success", 1),
        "Skip": ("skipped", 1),
        "AfterSkip": ("success", 1),
    }
    airflow.wait_for_log(dag_id, run_id, "Succeed", "::endgroup::")
    airflow.wait_for_log(dag_id, run_id, "Flood", "line 49999")
    path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/Succeed/logs/1?full_content=true"
    events = airflow.request("GET", path)["content"]
    shown = [
        (event["level"], event["logger"], event["event"])
        for event in events
        if str(event.get("logger")).startswith(("instrument.frames", "task.stdout", "dkist"))
    ]
    assert shown == [
        ("info", "dkist.runner", "::group::task"),
        ("info", "task.stdout", "printed"),
        ("info", "instrument.frames", "logged as INFO"),
        ("warning", "instrument.frames", "logged as WARNING"),
        ("error", "instrument.frames", "logged as ERROR"),
        ("critical", "instrument.frames", "logged as CRITICAL"),
        ("info", "task.stdout", "::endgroup::"),
    ]
    process, supervisor, parent = next(
        json.loads(event["event"]) for event in events if event.get("logger") == "instrument.watch"
    )
    assert process == parent != supervisor  # the runner's parent is Airflow's task process
    logs = {name: airflow.task_log(dag_id, run_id, name) for name in states}
    assert "FrameError: observe_0005.fits holds no image" in logs["Raise"]
    assert "RunnerFailed: the runner ended with status 99 without a result" in logs["Crash"]
    assert "AirflowTaskTimeout: execution_timeout of 0:00:02" in logs["TimeOut"]
    assert "cleaned up" in logs["TimeOut"]
    airflow.wait_for_log(dag_id, run_id, "StopByHand", "cleaned up")  # the run has ended before the process
    assert logs["Flood"].count("\nline ") == 50_000
    assert not [name for name, text in logs.items() if "json.loads" in text]  # no runner's text

    wanted = {
        "Raise": "FrameError: observe_0005.fits holds no image",
        "Refuse": "TaskNotStarted: recipe run id '-1' is not a positive integer",
        "Crash": "RunnerFailed: the runner ended with status 99 without a result",
        "TimeOut": "AirflowTaskTimeout: execution_timeout of 0:00:02",
    }
    found = reasons(host.folder / "spool", dag_id)
    assert {name: found.get(name) for name in wanted} == wanted

    with closing(sqlite3.connect(airflow.home / "airflow.db")) as database:
        rows = database.execute("SELECT rendered_fields FROM rendered_task_instance_fields").fetchall()
        (dag,) = database.execute("SELECT data FROM serialized_dag WHERE dag_id = ?", [dag_id]).fetchone()
    assert max(len(fields) - len(str(airflow.dags)) for (fields,) in rows) <= 400
    tasks = json.loads(dag)["dag"]["tasks"]
    assert len(json.dumps(tasks)) / len(tasks) <= 1200


def test_runner_and_operator_agree(airflow: PrivateAirflow, host: RunnerHost) -> None:
    """With the real runner, the task's own error and the signal that killed it reach log and message."""
    workflow = workflow_of("agreement")
    for name in ("SucceedForReal", "RaiseForReal", "DieForReal"):
        workflow.add_node(task(name))
    run_id = deploy(airflow, host, workflow, runner_modules())
    assert airflow.wait_for_run(workflow.dag_id, run_id) == "failed"
    states = {one.name: one.state for one in airflow.tasks(workflow.dag_id, run_id).values()}
    assert states == {"SucceedForReal": "success", "RaiseForReal": "failed", "DieForReal": "failed"}
    found = reasons(host.folder / "spool", workflow.dag_id)
    assert found["RaiseForReal"] == "FrameError: observe_0005.fits holds no image"
    assert found["DieForReal"].startswith("TaskKilled: ")
    assert "SIGSEGV" in found["DieForReal"]
    airflow.wait_for_log(workflow.dag_id, run_id, "SucceedForReal", "for real")
