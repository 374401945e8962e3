"""The listener in a real Airflow of every supported version: marks by hand, ends of runs, and what it costs.

Broker: none. Every message stays in the spool, where all processes of the Airflow put theirs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.airflow import PrivateAirflow
from harness.airflow_environment import airflow_environment
from harness.constraints import airflow_minors
from harness.packages import ROOT, build_wheels
from tests.dkist_airflow_node.messages.test_failure_airflow import (
    INSTRUMENT,
    RUN_TIMES_OUT,
    TASK_RUNS,
    WAIT_SECONDS,
    Node,
    start,
)
from tests.dkist_airflow_node.worker.runner_host import RunnerHost, task
from tests.dkist_airflow_node.worker.worker import wait_for

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]

SETTLE_SECONDS = 8
"""A worker whose task was ended from outside calls back five seconds later: how long to look for one message more."""

FOREIGN = """
from airflow.sdk import DAG, BaseOperator, Param

class Fail(BaseOperator):
    def execute(self, context):
        raise ValueError

with DAG(
    "test_foreign_1.0.0",
    schedule=None,
    tags=["test_foreign", "1.0.0"],
    params={"recipe_run_id": Param(type="integer", minimum=1)},
    is_paused_upon_creation=False,
):
    Fail(task_id="Fail", owner="somebody")
"""

STOPWATCH = """
import functools, gc, json, os, sys, time
from dkist_airflow_node.plugin import FailureListener

def timed(function):
    @functools.wraps(function)
    def timed_function(*args):
        gc.disable()  # a collection of all that the scheduler holds, which may be due at any place, is not ours
        begin = time.thread_time()
        function(*args)
        seconds = time.thread_time() - begin
        gc.enable()
        row = {"hook": function.__name__, "arguments": sys.argv[1:2], "seconds": seconds, "pika": "pika" in sys.modules}
        with open(os.environ["DKIST_TEST_TIMES"], "a") as file:
            file.write(json.dumps(row) + "\\n")
    return timed_function

for name in ("on_dag_run_failed", "on_task_instance_failed"):
    setattr(FailureListener, name, timed(getattr(FailureListener, name)))
"""
"""A plug-in of the test, which Airflow loads before installed ones. It takes the time of the processor alone.

A busy machine may stop the scheduler for milliseconds at any place, and would make any other time worthless here.
"""


@dataclass(frozen=True)
class Site:
    """An Airflow whose processes all have dkist-airflow-node, and a spool."""

    minor: str
    airflow: PrivateAirflow
    worker: RunnerHost
    spool: Path
    times: Path

    def run(self, name: str, tasks: list[Node], more: str = "") -> tuple[str, str]:
        """Start a run and return the ids of DAG and run."""
        return start(self.airflow, self.worker, name, tasks, more)

    def wait(self, dag_id: str, run_id: str, *sources: str) -> str:
        """Wait for the end of a run and for those that report it, among them the listener; return its state."""
        state = self.airflow.wait_for_run(dag_id, run_id, timeout=WAIT_SECONDS)
        wanted = {"listener", *sources}
        wait_for(
            lambda: wanted <= {each["source"] for each in self.messages(dag_id, run_id)},
            f"messages of {wanted}",
        )
        time.sleep(SETTLE_SECONDS)
        return state

    def mark_run(self, dag_id: str, run_id: str) -> None:
        """Mark a run as failed, as a person does in the browser."""
        self.airflow.request("PATCH", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}", {"state": "failed"})

    def messages(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the messages of a run."""
        bodies = [json.loads(path.read_bytes()) for path in sorted(self.spool.glob("*.json"))]
        name = dag_id.removesuffix("_1.0.0")
        return [body for body in bodies if (body["workflowName"], body["dagRunId"]) == (name, run_id)]

    def is_vague(self, message: dict[str, Any]) -> bool:
        """Return whether the dag-processor of 3.0, which knows no states, sends it for a run as a whole."""
        return self.minor == "3.0" and message["source"] == "dag-processor" and message["taskName"] is None

    def failures(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Return by task the listener's first message; no other message of the run has a key of its own."""
        messages = [each for each in self.messages(dag_id, run_id) if not self.is_vague(each)]
        heard = [message for message in messages if message["source"] == "listener"]
        assert {message["idempotencyKey"] for message in messages} == {message["idempotencyKey"] for message in heard}
        return {message["taskName"]: message for message in reversed(heard)}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the wheels of dkist-airflow-node and what it needs of ours."""
    folder = tmp_path_factory.mktemp("wheels")
    build_wheels(folder, [ROOT / "packages" / name for name in ("dkist-task", "dkist-workflow", "dkist-airflow-node")])
    return [str(path) for path in sorted(folder.glob("*.whl"))]


@pytest.fixture(scope="module", params=airflow_minors())
def site(request: pytest.FixtureRequest, wheels: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site of each supported Airflow."""
    folder = tmp_path_factory.mktemp("site")
    worker = RunnerHost(folder / "worker")
    worker.release(INSTRUMENT)
    variables = worker.variables()
    names = ("UV_FIND_LINKS", "UV_OFFLINE", "UV_CACHE_DIR", "DKIST_ENVIRONMENT_STORE")
    environment = {
        **{name: variables[name] for name in names},
        "MESH_CONFIG": json.dumps({"interservice-bus": {"mesh_address": "127.0.0.1", "mesh_port": 1}}),
        "DKIST_MESSAGE_SPOOL": str(folder / "spool"),
        "DKIST_TEST_GATE": str(folder / "gate"),
        "DKIST_TEST_TIMES": str(folder / "times"),
        "AIRFLOW__API_AUTH__JWT_ISSUER": "harness",  # 3.0.6 refuses the one that it makes of none
    }
    home = folder / "airflow"
    (home / "plugins").mkdir(parents=True)
    (home / "plugins" / "stopwatch.py").write_text(STOPWATCH)
    python = airflow_environment(wheels, airflow=request.param)
    with PrivateAirflow(home, python=python, env=environment) as airflow:
        yield Site(request.param, airflow, worker, folder / "spool", folder / "times")
    worker.end_all()


def test_a_run_that_ends(site: Site) -> None:
    """Each task that has failed for good is reported, with the key of the callbacks; one with retries left is not."""
    tasks: list[Node] = [
        task("Raise"),
        task("RetryAndFail", retries=1, retry_delay_seconds=1),
        task("RetryAndPass", retries=1, retry_delay_seconds=1),
        task("RunOutOfMemory"),
    ]
    dag_id, run_id = site.run("ends", tasks)
    assert site.wait(dag_id, run_id, "worker", "dag-processor") == "failed"
    found = site.failures(dag_id, run_id)
    assert set(found) == {"Raise", "RetryAndFail", "RunOutOfMemory"}
    message = found["RetryAndFail"]
    assert (message["tryNumber"], message["maxTries"], message["recipeRunId"]) == (2, 2, 7)
    assert message["logUrl"].startswith(f"{site.airflow.url}/dags/{dag_id}/runs/{run_id.replace('+', '%2B')}/tasks/")
    assert message["durationSeconds"] > 0
    sources = {each["source"] for each in site.messages(dag_id, run_id)}
    assert sources == {"worker", "listener", "dag-processor"}
    (of_worker,) = (
        each
        for each in site.messages(dag_id, run_id)
        if (each["source"], each["taskName"]) == ("worker", "RetryAndFail")
    )
    assert (of_worker["tryNumber"], of_worker["maxTries"]) == (2, 2)
    assert of_worker["environment"]
    assert of_worker["durationSeconds"] > 0


def test_marked_by_hand(site: Site) -> None:
    """A task, or a run, that is marked as failed while it runs is one failure, whoever reports it."""
    # No task after it: Airflow skips that, and a scheduler that looks in this moment may then make the run a success.
    dag_id, of_task = site.run("byhand", [task("Sleep")])
    of_run = site.airflow.trigger(dag_id, recipe_run_id=7, run_id="of-run")
    for run_id in (of_task, of_run):
        site.airflow.wait_for_task(dag_id, run_id, "Sleep", {"running"}, timeout=WAIT_SECONDS)
        site.airflow.wait_for_log(dag_id, run_id, "Sleep", TASK_RUNS)
    site.airflow.set_state(dag_id, of_task, "Sleep", "failed")
    site.mark_run(dag_id, of_run)
    for run_id in (of_task, of_run):
        assert site.wait(dag_id, run_id) == "failed"
        assert set(site.failures(dag_id, run_id)) == {"Sleep"}
        assert site.failures(dag_id, run_id)["Sleep"]["reason"] == "marked as failed by hand"


def test_marked_when_it_had_ended(site: Site) -> None:
    """No callback of Airflow reports these: the listener alone does."""
    dag_id, of_task = site.run("late", [task("Never")])
    of_run = site.airflow.trigger(dag_id, recipe_run_id=7, run_id="of-run")
    for run_id in (of_task, of_run):
        assert site.airflow.wait_for_run(dag_id, run_id) == "success"
    site.airflow.set_state(dag_id, of_task, "Never", "failed")
    site.mark_run(dag_id, of_run)
    wait_for(
        lambda: len(site.messages(dag_id, of_task)) == len(site.messages(dag_id, of_run)) == 1, "messages", seconds=60
    )
    assert set(site.failures(dag_id, of_task)) == {"Never"}
    assert set(site.failures(dag_id, of_run)) == {None}


def test_a_run_that_times_out(site: Site) -> None:
    """Airflow records its task as skipped; it has the key that the callbacks give it."""
    dag_id, run_id = site.run("runtimeout", [task("Sleep")], RUN_TIMES_OUT)
    assert site.wait(dag_id, run_id) == "failed"
    assert set(site.failures(dag_id, run_id)) == {"Sleep"}


def test_a_dag_that_is_not_ours(site: Site) -> None:
    """One with our parameter and tags that fit is still not ours: nothing is spooled, and nothing is in the way."""
    (site.airflow.dags / "foreign.py").write_text(FOREIGN)
    site.airflow.wait_for_dag("test_foreign_1.0.0")
    run_id = site.airflow.trigger("test_foreign_1.0.0", recipe_run_id=7)
    assert site.airflow.wait_for_run("test_foreign_1.0.0", run_id) == "failed"
    site.airflow.set_state("test_foreign_1.0.0", run_id, "Fail", "success")
    site.airflow.set_state("test_foreign_1.0.0", run_id, "Fail", "failed")
    time.sleep(3)
    assert site.messages("test_foreign_1.0.0", run_id) == []


def test_the_scheduler_does_not_wait(site: Site) -> None:
    """The listener takes less than a millisecond of the scheduler's loop and has not loaded pika there."""
    rows = [json.loads(line) for line in site.times.read_text().splitlines()]
    of_scheduler = [row for row in rows if row["hook"] == "on_dag_run_failed" and row["arguments"] == ["scheduler"]]
    assert len(of_scheduler) >= 3
    seconds = sorted(row["seconds"] for row in of_scheduler)
    assert seconds[len(seconds) // 2] < 1e-3, seconds
    # Others empty the processor's caches: at a load of 18 one took 1.02 ms. An import or a query takes far more.
    assert seconds[-1] < 5e-3, seconds
    assert not any(row["pika"] for row in of_scheduler)
