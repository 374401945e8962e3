"""Tasks that a real Airflow stops: after its time, by hand, and by losing the worker; deaf ones and polite ones."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dkist_airflow_node import Lock, render_dag_file
from dkist_task import TaskBase
from dkist_workflow import Workflow
from harness.airflow import PrivateAirflow
from tests.dkist_airflow_node.worker.runner_host import RunnerHost
from tests.dkist_airflow_node.worker.worker import PYTHON, is_running, wait_for

pytestmark = [pytest.mark.service, pytest.mark.timeout(600)]

# The names of a task say how it behaves and what happens to it.
INSTRUMENT = """
import os, signal, subprocess, sys, time
from pathlib import Path

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(300)"

def file(kind):
    return Path(os.environ["TEST_FOLDER"], f"{os.environ['DKIST_TASK'].partition(':')[2]}.{kind}")

def start_children():
    children = []
    for own_session in (False, True):
        command = [sys.executable, "-c", DEAF]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=own_session))
        children[-1].stdout.readline()
    file("new").write_text(" ".join(str(pid) for pid in (os.getpid(), *(child.pid for child in children))))
    file("new").rename(file("pids"))

def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    start_children()
    time.sleep(300)

def polite():
    def stop(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(1)
    signal.signal(signal.SIGTERM, stop)
    try:
        start_children()
        time.sleep(300)
    finally:
        time.sleep(1)
        file("unwound").touch()

DeafTimeOut = DeafMarked = DeafLost = deaf
PoliteTimeOut = PoliteMarked = PoliteLost = polite
"""

EVENTS = ("TimeOut", "Marked", "Lost")
TIMEOUT_SECONDS = 30  # a busy machine takes most of it for the start


def ancestors(pid: int) -> Iterator[tuple[int, str]]:
    """Give the processes above one, with their titles."""
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        yield pid, Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")


def lose_worker(pid: int) -> None:
    """Kill the two processes in which Airflow runs a task."""
    above = list(ancestors(pid))
    # The id of a task instance follows in the title; the parent of that process is the executor's worker.
    runner = next(index for index, (_, title) in enumerate(above) if title.startswith("airflow worker -- 0"))
    for process, _ in (above[runner + 1], above[runner]):  # first the one that would end its child in an orderly way
        os.kill(process, signal.SIGKILL)


def test_nothing_outlives_a_task_that_airflow_stops(tmp_path: Path) -> None:
    """Ten seconds after the event a deaf task and all its children are gone, and a polite one has unwound."""
    worker = RunnerHost(tmp_path)
    worker.release(INSTRUMENT)
    built = worker.result_of(
        action="build", DKIST_TASK=None
    )  # the time of a task goes on while its environment is built
    assert built.status == 0, built
    instrument = sys.modules.setdefault("instrument", ModuleType("instrument"))
    workflow = Workflow(
        process_category="test", process_name="stop", workflow_package="instrument", workflow_version="1.0.0"
    )
    for kind in ("Deaf", "Polite"):
        for event in EVENTS:
            attributes: dict[str, Any] = {"__module__": "instrument", "run": lambda _: None}
            if event == "TimeOut":
                attributes["timeout_seconds"] = TIMEOUT_SECONDS
            made = type(f"{kind}{event}", (TaskBase,), attributes)
            setattr(instrument, made.__name__, made)
            workflow.add_node(made)
    locks: dict[tuple[str, ...], Lock] = {
        (): Lock("requirements.txt", hashlib.sha256(worker.lock.read_bytes()).hexdigest())
    }
    names = ("UV_FIND_LINKS", "UV_OFFLINE", "UV_CACHE_DIR", "DKIST_ENVIRONMENT_STORE")
    variables = {name: worker.variables()[name] for name in names}
    started: dict[str, list[int]] = {}
    with PrivateAirflow(
        tmp_path / "airflow", env={**variables, "TEST_FOLDER": str(tmp_path), "AIRFLOW__CORE__PARALLELISM": "8"}
    ) as airflow:
        folder = airflow.dags / "release"
        folder.mkdir()
        (folder / "requirements.txt").write_bytes(worker.lock.read_bytes())
        (folder / f"{workflow.dag_id}.py").write_bytes(render_dag_file(workflow, locks=locks, python=PYTHON))
        airflow.wait_for_dag(workflow.dag_id)
        run_id = airflow.trigger(workflow.dag_id, recipe_run_id=7)
        try:
            for node in workflow.nodes:
                file = tmp_path / f"{node.name}.pids"
                wait_for(file.exists, f"the start of {node.name}", seconds=180)
                started[node.name] = [int(pid) for pid in file.read_text(encoding="utf-8").split()]
            begin = time.monotonic()
            for kind in ("Deaf", "Polite"):
                lose_worker(started[f"{kind}Lost"][0])
                airflow.set_state(workflow.dag_id, run_id, f"{kind}Marked", "failed")
            for name, pids in started.items():
                # A task learns that it was marked from its next heartbeat, a few seconds later.
                allowed = {"Lost": 14, "Marked": 60, "TimeOut": TIMEOUT_SECONDS + 20}[
                    name.removeprefix("Deaf").removeprefix("Polite")
                ]
                wait_for(
                    lambda pids=pids: not any(map(is_running, pids)),  # type: ignore[misc]  # a default binds the loop's value
                    f"the end of {name} {pids}",
                    seconds=max(allowed - (time.monotonic() - begin), 0.1),
                )
        finally:
            worker.end_all()
    assert sorted(path.stem for path in tmp_path.glob("*.unwound")) == ["PoliteLost", "PoliteMarked", "PoliteTimeOut"]
