"""DAG files of twelve tasks, exported and hand-written, and programs that Airflow's Python runs on them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.twelve_tasks import STEPS, twelve_tasks
from dkist_airflow_node import Lock, render_dag_file


def write_ours(folder: Path, count: int) -> None:
    """Write exported DAG files: versions of one workflow."""
    folder.mkdir(parents=True)
    locks: dict[tuple[str, ...], Lock] = {(): Lock("requirements.txt", "0" * 64)}
    for number in range(count):
        workflow = twelve_tasks(f"1.{number}")
        (folder / f"{workflow.dag_id}.py").write_bytes(render_dag_file(workflow, locks=locks, python="3.11"))


def write_by_hand(folder: Path, count: int) -> None:
    """Write DAG files as Airflow's documentation shows: one operator after the other, and the run's own parameter.

    Without a parameter that the form shows and Airflow checks, the tasks would not know their recipe run.
    """
    folder.mkdir(parents=True)
    operators = "\n".join(
        f'    step_{number:02} = BashOperator(task_id="Step{number:02}", bash_command="process --step {number}")'
        for number in range(1, len(STEPS) + 1)
    )
    edges = " >> ".join(f"step_{number:02}" for number in range(1, len(STEPS) + 1))
    for version in range(count):
        text = (
            "from airflow.providers.standard.operators.bash import BashOperator\n"
            "from airflow.sdk import DAG, Param\n\n"
            'PARAMS = {"recipe_run_id": Param(1, type="integer", minimum=1, description="The recipe run.")}\n'
            f'with DAG("by_hand_1.{version}", schedule=None, catchup=False, tags=["by hand"], params=PARAMS) as dag:\n'
            f"{operators}\n    {edges}\n"
        )
        (folder / f"by_hand_1.{version}.py").write_text(text)


def run_with_airflow(command: Sequence[object], folder: Path) -> str:
    """Run a program with an Airflow home of its own and return what it printed."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    environ |= {"AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(list(map(str, command)), env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
