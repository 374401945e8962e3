"""Measure a task in a real Airflow: the way of its output, beside a stock BashOperator, and what stays of it.

Both tasks write the same lines in blocks, so that what is measured is how they are read and logged.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import urllib.parse
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from benchmarks.environment_start import PYTHON, Host
from benchmarks.measure import Comparison, report
from dkist_airflow_node import Lock, render_dag_file
from dkist_airflow_node.worker import run_runner
from dkist_task import TaskBase
from dkist_workflow import Workflow
from harness.airflow import PrivateAirflow

LARGEST_RATIO = 1.05
"""Airflow's own log takes nearly all of the time, so the two are equal: 1.01 on a quiet machine. The rest is noise."""
LINES = 200_000
ROUNDS = 3
PROMISED_BYTES = 400
"""What the rendered fields of one task instance may take."""
RUN_SECONDS = 600
"""How long a run may take."""
TASK = "Write"
LINE = "a line of a task as long as lines of tasks are in the mean"
WRITE = f"""
import sys

def write():
    block = "{LINE}\\n" * 1000
    for _ in range({LINES} // 1000):
        sys.stdout.write(block)
"""
OURS = f"""{WRITE}
from dkist_task import TaskBase

class {TASK}(TaskBase):
    def run(self):
        write()
"""
BY_HAND = """
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("by_hand", schedule=None, catchup=False, is_paused_upon_creation=False) as dag:
    BashOperator(task_id={task!r}, bash_command={command!r})
"""


def compare() -> list[Comparison]:
    """Run both tasks in turns, and compare the medians."""
    with tempfile.TemporaryDirectory(prefix="dkist-benchmark-") as name:
        folder = Path(name)
        worker = folder / "worker"
        worker.mkdir()
        host = Host(worker, OURS)
        variables = host.variables()
        built = run_runner("build", variables, lambda _: None)
        if not built.is_success:
            raise RuntimeError(f"the environment of the task could not be built: {built.reason}")
        names = ("PATH", "UV_FIND_LINKS", "DKIST_ENVIRONMENT_STORE")
        dags = folder / "airflow" / "dags"
        ours = write_ours(dags, host.lock.read_bytes())
        write_by_hand(dags)
        seconds: dict[str, list[float]] = {ours: [], "by_hand": []}
        with PrivateAirflow(folder / "airflow", env={name: variables[name] for name in names}) as airflow:
            for dag_id in seconds:
                airflow.wait_for_dag(dag_id)
            for _ in range(ROUNDS):
                for dag_id, taken in seconds.items():
                    run_id = airflow.trigger(dag_id, recipe_run_id=1)
                    taken.append(_seconds(airflow, dag_id, run_id))
                    if dag_id == ours:
                        rendered = _rendered(airflow, dag_id, run_id)
    return [
        Comparison(
            f"{LINES:,} lines of a task, in Airflow's log",
            statistics.median(seconds[ours]),
            statistics.median(seconds["by_hand"]),
            "a stock BashOperator",
            limit=LARGEST_RATIO,
            note=f"median of {ROUNDS} in turns; ours {_list(seconds[ours])}, stock {_list(seconds['by_hand'])}",
        ),
        Comparison(
            "rendered fields of a task instance",
            len(json.dumps(rendered).encode()),
            PROMISED_BYTES,
            "the promise",
            unit="B",
            limit=1,
            note=", ".join(rendered["run_variables"]),
        ),
    ]


def write_ours(dags: Path, lock: bytes) -> str:
    """Write the exported DAG of the task and its lock, and return its id."""
    module = sys.modules.setdefault("instrument_ours.tasks", ModuleType("instrument_ours.tasks"))
    task = type(TASK, (TaskBase,), {"__module__": module.__name__, "run": lambda _: None})
    setattr(module, TASK, task)
    workflow = Workflow("benchmark", "output", workflow_package="instrument_ours", workflow_version="1.0.0")
    workflow.add_node(task)
    folder = dags / "benchmark_1.0.0"
    folder.mkdir(parents=True)
    (folder / "requirements.txt").write_bytes(lock)
    locks: dict[tuple[str, ...], Lock] = {(): Lock("requirements.txt", sha256(lock).hexdigest())}
    (folder / f"{workflow.dag_id}.py").write_bytes(render_dag_file(workflow, locks=locks, python=PYTHON))
    return workflow.dag_id


def write_by_hand(dags: Path) -> None:
    """Write the DAG of a stock operator that runs a script with the same loop."""
    dags.mkdir(parents=True, exist_ok=True)
    script = dags.parent / "write.py"
    script.write_text(f"{WRITE}\nwrite()\n")
    (dags / "by_hand.py").write_text(BY_HAND.format(task=TASK, command=f"{sys.executable} {script}"))


def _seconds(airflow: PrivateAirflow, dag_id: str, run_id: str) -> float:
    """Wait for the end of a run, check that its log is complete, and return how long its task took."""
    state = airflow.wait_for_run(dag_id, run_id, timeout=RUN_SECONDS)
    (log,) = airflow.home.glob(f"logs/dag_id={dag_id}/run_id={run_id}/task_id={TASK}/*.log")
    text = log.read_text()
    count = text.count(LINE)
    if state != "success" or count < LINES:
        raise RuntimeError(f"{dag_id} ended in {state}, with {count} of {LINES} lines:\n{text[-3000:]}")
    seconds = airflow.tasks(dag_id, run_id)[TASK].seconds
    if seconds is None:
        raise RuntimeError(f"{dag_id} has no end")
    return seconds


def _rendered(airflow: PrivateAirflow, dag_id: str, run_id: str) -> dict[str, dict[str, str]]:
    """Return the rendered fields that Airflow keeps of the task instance."""
    path = f"/api/v2/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id, safe='')}/taskInstances/{TASK}"
    rendered: dict[str, dict[str, str]] = airflow.request("GET", path)["rendered_fields"]
    return rendered


def _list(seconds: list[float]) -> str:
    return " ".join(f"{each:.1f}" for each in seconds)


if __name__ == "__main__":
    report(compare)
