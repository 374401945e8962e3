"""Measure what a DAG file of twelve tasks costs Airflow besides its imports: ours, hand-written, the predecessor's."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Comparison, report
from benchmarks.predecessor import NAME, predecessor_interpreter
from benchmarks.twelve_tasks import STEPS, twelve_tasks
from dkist_airflow_node import Lock, render_dag_file
from harness.interpreter import InterpreterMissingError

COUNTS = (1, 10, 100, 500)
ROUNDS = 3
LARGEST_RATIO = 1.6
"""The promised limit against a hand-written file."""
REFERENCES = {"by-hand": "hand-written", "predecessor": NAME}
"""The references, by the folder of their files."""
HERE = Path(__file__).parent


def compare() -> list[Comparison]:
    """Measure against hand-written files in this environment, and against the predecessor's in its own."""
    with tempfile.TemporaryDirectory(prefix="dkist-benchmark-") as name:
        folder = Path(name)
        for count in COUNTS:
            write_ours(folder / "ours" / str(count), count)
            write_by_hand(folder / "by-hand" / str(count), count)
        here = Path(sys.executable)
        rows = _comparisons(here, folder, "by-hand", limit=LARGEST_RATIO)
        rows += _comparisons(here, folder, "by-hand", limit=LARGEST_RATIO, is_first=True)
        try:
            python = predecessor_interpreter()
        except InterpreterMissingError as error:
            return rows + [Comparison(row.name, row.ours, None, NAME, note=f"NOT MEASURED: {error}") for row in rows]
        for count in COUNTS:
            output = folder / "predecessor" / str(count)
            output.mkdir(parents=True)
            run_with_airflow([python, HERE / "predecessor_files.py", output, count], folder)
        return rows + _comparisons(python, folder, "predecessor")


def _comparisons(
    python: Path, folder: Path, reference: str, *, is_first: bool = False, limit: float | None = None
) -> list[Comparison]:
    """Compare the times of loading our files and others, repeatedly or for the first time (not yet compiled)."""
    counts = (100,) if is_first else COUNTS
    folders = [folder / kind / str(count) for count in counts for kind in ("ours", reference)]
    program = [*(["-B"] if is_first else []), HERE / "parse_folders.py"]
    if is_first:
        for cache in folder.rglob("__pycache__"):
            shutil.rmtree(cache)
    taken = json.loads(run_with_airflow([python, *program, ROUNDS, *folders], folder).splitlines()[-1])
    median = {name: statistics.median(seconds) for name, seconds in taken.items()}
    return [
        Comparison(
            f"load {count} DAG file{'s' if count > 1 else ''} of {len(STEPS)} tasks"
            + (" for the first time" if is_first else ""),
            ours=median[str(folder / "ours" / str(count))],
            reference=median[str(folder / reference / str(count))],
            against=REFERENCES[reference],
            limit=limit,
        )
        for count in counts
    ]


def write_ours(folder: Path, count: int) -> None:
    """Write DAG files as an export does."""
    folder.mkdir(parents=True)
    locks: dict[tuple[str, ...], Lock] = {(): Lock("requirements.txt", "0" * 64)}
    for number in range(count):
        workflow = twelve_tasks(f"1.{number}")
        (folder / f"{workflow.dag_id}.py").write_bytes(render_dag_file(workflow, locks=locks, python="3.11"))


def write_by_hand(folder: Path, count: int) -> None:
    """Write DAG files as Airflow's documentation shows: one operator after the other."""
    folder.mkdir(parents=True)
    operators = "\n".join(
        f'    step_{number:02} = BashOperator(task_id="Step{number:02}", bash_command="process --step {number}")'
        for number in range(1, len(STEPS) + 1)
    )
    edges = " >> ".join(f"step_{number:02}" for number in range(1, len(STEPS) + 1))
    for version in range(count):
        text = (
            "from airflow.providers.standard.operators.bash import BashOperator\n"
            "from airflow.sdk import DAG\n\n"
            f'with DAG("by_hand_1.{version}", schedule=None, catchup=False, tags=["by hand"]):\n'
            f"{operators}\n    {edges}\n"
        )
        (folder / f"by_hand_1.{version}.py").write_text(text)


def run_with_airflow(command: list[object], folder: Path) -> str:
    """Run a program with an Airflow home of its own and return what it printed."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    environ |= {"AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(list(map(str, command)), env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    report(compare)
