"""Every kind of failure, reported by a real Airflow (scheduler, dag-processor, executor) to a real broker.

Needs RabbitMQ's programs (Debian: ``rabbitmq-server``); broker and Airflow are this module's own.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dkist_airflow_node import Lock, render_dag_file
from dkist_airflow_node.messages.bus import QUEUE
from dkist_task import TaskBase
from dkist_workflow import Workflow
from harness.airflow import PrivateAirflow
from harness.airflow_environment import airflow_environment
from harness.rabbitmq import PrivateRabbitMQ
from tests.dkist_airflow_node.worker.runner_host import RunnerHost, task
from tests.dkist_airflow_node.worker.worker import PYTHON

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]

WAIT_SECONDS = 240
SETTLE_SECONDS = 8
"""A worker whose task was ended from outside calls back five seconds later: how long to look for one message more."""

TASK_RUNS = "::group::task"
"""What the log has as soon as the runner has started the task's own process."""

Node = type[TaskBase] | tuple[type[TaskBase], type[TaskBase]]
"""A task, or a task and its upstream."""

INSTRUMENT = """
import os, signal, sys, time
from pathlib import Path
from types import ModuleType

def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

def ancestors(title):
    pid = os.getpid()
    while pid > 1:
        if Path(f"/proc/{pid}/cmdline").read_text().startswith(title):
            yield pid
        pid = parent(pid)

def Raise(): sys.exit(1)
def AlsoRaise(): sys.exit(1)
def Never(): pass
def Sleep(): time.sleep(120)
def TimeOut(): time.sleep(120)
def RetryAndFail(): sys.exit(1)
def RetryAndPass():
    if os.environ["DKIST_TRY_NUMBER"] == "1":
        sys.exit(1)
def RunOutOfMemory(): os.kill(next(ancestors("airflow worker -- 0")), signal.SIGKILL); time.sleep(120)
def AlsoRunOutOfMemory(): time.sleep(1); RunOutOfMemory()
def WaitAndRaise():
    while not Path(os.environ["DKIST_TEST_GATE"]).exists():
        time.sleep(0.2)
    sys.exit(1)
def LoseWorker():
    worker = next(ancestors("airflow worker -- 0"))  # the id of the attempt follows
    supervisor = parent(worker)  # whose title is another in each Airflow
    os.kill(worker, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGSTOP)
    time.sleep(120)
"""

ONLY_OUTSIDE_WORKERS = """
import re
from setproctitle import getproctitle
if re.match("airflow worker -- 0", getproctitle()):
    import a_module_that_is_missing_on_this_worker
"""

RUN_TIMES_OUT = """
dag.dagrun_timeout = timedelta(seconds=12)
"""


@dataclass
class Inbox:
    """What has arrived in the queue."""

    broker: PrivateRabbitMQ
    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, run_id: str) -> list[dict[str, Any]]:
        """Return the messages of a run that have arrived by now."""
        self.messages += [json.loads(body) for body in self.broker.take(QUEUE)]
        return [message for message in self.messages if message["dagRunId"] == run_id]

    def wait(self, run_id: str, condition: Callable[[list[dict[str, Any]]], bool]) -> None:
        """Wait until a condition holds for the messages of a run."""
        end = time.monotonic() + WAIT_SECONDS
        while not condition(self.of(run_id)):
            assert time.monotonic() < end, f"messages of {run_id}: {self.of(run_id)}"
            time.sleep(0.5)

    def failures(self, run_id: str, *, of_dag: int = 1) -> list[str]:
        """Wait for the messages of the DAG's callbacks and return the task of each distinct failure, sorted."""
        self.wait(run_id, lambda got: len({m["conversationId"] for m in got if is_of_dag(m)}) >= of_dag)
        time.sleep(SETTLE_SECONDS)
        distinct = {message["idempotencyKey"]: message["taskName"] for message in self.of(run_id)}
        return sorted(distinct.values())


def is_of_dag(message: dict[str, Any]) -> bool:
    """Return whether the dag-processor sent a message for the DAG as a whole."""
    return message["source"] == "dag-processor" and message["reason"] in {"task_failure", "timed_out"}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> RunnerHost:
    """Return a worker host with a release of the instrument package."""
    worker = RunnerHost(tmp_path_factory.mktemp("worker"))
    worker.release(INSTRUMENT)
    return worker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRabbitMQ]:
    """Return a broker of this module's own."""
    with PrivateRabbitMQ(tmp_path_factory.mktemp("broker") / "rabbitmq") as rabbitmq:
        yield rabbitmq


@pytest.fixture(scope="module")
def inbox(broker: PrivateRabbitMQ) -> Inbox:
    """Return the reader of the queue."""
    return Inbox(broker)


def environment(worker: RunnerHost, broker: PrivateRabbitMQ) -> dict[str, str]:
    """Return what every process of an Airflow has."""
    names = ("UV_FIND_LINKS", "UV_OFFLINE", "UV_CACHE_DIR", "DKIST_ENVIRONMENT_STORE")
    variables = worker.variables()
    return {
        **{name: variables[name] for name in names},
        **broker.settings,
        "DKIST_MESSAGE_SPOOL": str(worker.folder / "spool"),
        # A busy machine may take longer than the default to send; what then waits is sent with the next failure only.
        "DKIST_MESSAGE_DEADLINE_SECONDS": "30",
        "DKIST_TEST_GATE": str(worker.folder / "gate"),
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__WORKERS__MISSING_DAG_RETRIES": "0",  # by default three, a minute apart
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    }


@pytest.fixture(scope="module")
def airflow(
    worker: RunnerHost, broker: PrivateRabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateAirflow]:
    """Return an Airflow of this module's own."""
    home = tmp_path_factory.mktemp("airflow")
    with PrivateAirflow(home / "airflow", env=environment(worker, broker)) as airflow:
        yield airflow
    worker.end_all()


def start(
    airflow: PrivateAirflow,
    worker: RunnerHost,
    name: str,
    tasks: Iterable[Node],
    more: str = "",
) -> tuple[str, str]:
    """Deploy a workflow of tasks (or pairs of a task and its upstream) and start a run; return both ids."""
    workflow = Workflow(
        process_category="test", process_name=name, workflow_package="instrument", workflow_version="1.0.0"
    )
    for node in tasks:
        if isinstance(node, tuple):
            workflow.add_node(node[0], upstreams=node[1])
        else:
            workflow.add_node(node)
    lock = worker.lock.read_bytes()
    folder = airflow.dags / name
    folder.mkdir()
    (folder / "requirements.txt").write_bytes(lock)
    locks: dict[tuple[str, ...], Lock] = {(): Lock("requirements.txt", hashlib.sha256(lock).hexdigest())}
    (folder / f"{workflow.dag_id}.py").write_bytes(
        render_dag_file(workflow, locks=locks, python=PYTHON) + more.encode()
    )
    airflow.wait_for_dag(workflow.dag_id)
    return workflow.dag_id, airflow.trigger(workflow.dag_id, recipe_run_id=7, run_id=f"{name}+1")


def test_exceptions_timeouts_and_retries(airflow: PrivateAirflow, worker: RunnerHost, inbox: Inbox) -> None:
    """Each task that has failed for good is one failure, reported by its worker; one with retries left is none."""
    raising = task("Raise")
    tasks: list[Node] = [
        raising,
        task("TimeOut", timeout_seconds=4),
        task("RetryAndFail", retries=1, retry_delay_seconds=1),
        task("RetryAndPass", retries=1, retry_delay_seconds=1),
        (task("Never"), raising),
    ]
    _, run_id = start(airflow, worker, "kinds", tasks)
    assert inbox.failures(run_id, of_dag=3) == ["Raise", "RetryAndFail", "TimeOut"]
    of_workers = {message["taskName"]: message for message in inbox.of(run_id) if message["source"] == "worker"}
    assert {name: message["tryNumber"] for name, message in of_workers.items()} == {
        "Raise": 1,
        "RetryAndFail": 2,
        "TimeOut": 1,
    }
    assert all((message["source"] == "dag-processor") == is_of_dag(message) for message in inbox.of(run_id))
    assert "AirflowTaskTimeout" in of_workers["TimeOut"]["reason"]
    assert of_workers["Raise"]["recipeRunId"] == 7
    assert of_workers["Raise"]["workflowName"] == "test_kinds"
    assert of_workers["Raise"]["logUrl"].startswith(f"{airflow.url}/dags/test_kinds_1.0.0/runs/kinds%2B1/tasks/Raise")


def test_two_tasks_killed_for_memory(airflow: PrivateAirflow, worker: RunnerHost, inbox: Inbox) -> None:
    """``kill -9`` leaves no callback of a task: the dag-processor reports both, and the one that raised an error."""
    tasks = [task("RunOutOfMemory"), task("AlsoRunOutOfMemory"), task("Raise")]
    _, run_id = start(airflow, worker, "killed", tasks)
    assert inbox.failures(run_id, of_dag=3) == ["AlsoRunOutOfMemory", "Raise", "RunOutOfMemory"]


def test_a_dag_that_no_longer_imports_on_the_worker(airflow: PrivateAirflow, worker: RunnerHost, inbox: Inbox) -> None:
    """The worker cannot even find the callback; the dag-processor reports."""
    _, run_id = start(airflow, worker, "missing", [task("Raise"), task("AlsoRaise")], ONLY_OUTSIDE_WORKERS)
    assert inbox.failures(run_id, of_dag=2) == ["AlsoRaise", "Raise"]


def test_a_worker_that_is_lost(airflow: PrivateAirflow, worker: RunnerHost, inbox: Inbox) -> None:
    """No heartbeat any more: one failure, though Airflow calls back several times."""
    _, run_id = start(airflow, worker, "lost", [task("LoseWorker")])
    assert inbox.failures(run_id) == ["LoseWorker"]
    assert {message["source"] for message in inbox.of(run_id)} == {"dag-processor", "listener"}


def test_marked_by_hand(airflow: PrivateAirflow, worker: RunnerHost, inbox: Inbox) -> None:
    """Marked as failed is a failure; marked as success or cleared while it runs is none, though Airflow calls back."""
    dag_id, failed = start(airflow, worker, "byhand", [task("Sleep")])
    passed, cleared = (airflow.trigger(dag_id, recipe_run_id=7, run_id=run_id) for run_id in ("passed", "cleared"))
    for run_id in (failed, passed, cleared):
        airflow.wait_for_task(dag_id, run_id, "Sleep", {"running"}, timeout=WAIT_SECONDS)
        airflow.wait_for_log(dag_id, run_id, "Sleep", TASK_RUNS)
    airflow.set_state(dag_id, failed, "Sleep", "failed")
    airflow.set_state(dag_id, passed, "Sleep", "success")
    airflow.clear(dag_id, cleared, ["Sleep"])
    assert inbox.failures(failed) == ["Sleep"]
    assert inbox.of(passed) == []
    assert [(message["tryNumber"], message["reason"]) for message in inbox.of(cleared)] == []
    airflow.set_state(dag_id, cleared, "Sleep", "success")


def test_a_run_that_times_out(airflow: PrivateAirflow, worker: RunnerHost, inbox: Inbox) -> None:
    """Airflow records the task as skipped; it is reported nevertheless."""
    _, run_id = start(airflow, worker, "runtimeout", [task("Sleep")], RUN_TIMES_OUT)
    assert inbox.failures(run_id) == ["Sleep"]


def test_cleared_and_failed_again(airflow: PrivateAirflow, worker: RunnerHost, inbox: Inbox) -> None:
    """Each failure has a key of its own, also that of a task that was running when another one was cleared."""
    dag_id, run_id = start(airflow, worker, "again", [task("Raise"), task("WaitAndRaise")])
    inbox.wait(run_id, lambda got: [message["taskName"] for message in got] == ["Raise"])
    airflow.wait_for_task(dag_id, run_id, "Raise", {"failed"}, timeout=WAIT_SECONDS)
    airflow.wait_for_task(dag_id, run_id, "WaitAndRaise", {"running"}, timeout=WAIT_SECONDS)
    airflow.clear(dag_id, run_id, ["Raise"])
    inbox.wait(run_id, lambda got: [message["taskName"] for message in got] == ["Raise", "Raise"])
    (worker.folder / "gate").touch()
    assert inbox.failures(run_id, of_dag=2) == ["Raise", "Raise", "WaitAndRaise"]
    airflow.clear(dag_id, run_id)
    assert inbox.failures(run_id, of_dag=4) == ["Raise", "Raise", "Raise", "WaitAndRaise", "WaitAndRaise"]


def test_a_host_without_dkist_airflow_node(
    worker: RunnerHost, broker: PrivateRabbitMQ, inbox: Inbox, tmp_path: Path
) -> None:
    """The DAG parses and runs there, the log says what is missing, and a dag-processor that has it reports all."""
    bare = airflow_environment()
    with PrivateAirflow(tmp_path / "airflow", python=bare, env=environment(worker, broker)) as airflow:
        airflow.component("dag-processor").stop()
        airflow.start_component("dag-processor-with-dkist", ["dag-processor"], python=Path(sys.executable))
        dag_id, run_id = start(airflow, worker, "bare", [task("Raise"), task("AlsoRaise")])
        assert inbox.failures(run_id, of_dag=2) == ["AlsoRaise", "Raise"]
        assert all(is_of_dag(message) for message in inbox.of(run_id))
        airflow.wait_for_log(dag_id, run_id, "Raise", "dkist-airflow-node cannot be imported")
