"""Run the example's exported DAG in a real Airflow, from an environment without our distributions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.airflow import PrivateAirflow
from harness.airflow_environment import airflow_environment
from harness.golden import golden_archives, golden_package
from harness.interpreter import find_interpreter
from harness.packages import ROOT, build_wheels

EXAMPLE = ROOT / "examples" / "dkist-processing-example"
WORKFLOWS = "dkist_processing_example.workflows"
GOLDEN_PYTHON = "3.11"
"""The Python that golden releases are for, and so the one of the Airflows that run them."""
RUN_SECONDS = 300
"""How long a run may take, including the building of the tasks' environments."""


@dataclass(frozen=True, order=True)
class Cell:
    """A supported combination."""

    airflow: str
    """Minor version of Airflow."""
    python: str
    """Minor version of Python."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    release: str
    """The release of Airflow that ran."""
    reason: str
    """Why it did not succeed, in one line without paths of this machine; empty if it did."""
    log: str = ""
    """Logs that help to find the cause."""


def run_cells(cells: Sequence[Cell], *, constraints: Path | None = None) -> Iterator[tuple[Cell, Outcome]]:
    """Run the example on each combination, and give each outcome as soon as it is known.

    The release is exported once for each Python. Airflow's environments hold Airflow and ``uv`` and no distribution of
    ours, and the DAG file is the only thing that Airflow gets of the example. Constraints stand in for those committed.
    """
    with tempfile.TemporaryDirectory(prefix="dkist-compatibility-") as name:
        folder = Path(name)
        wheels = folder / "wheels"
        build_wheels(wheels, [ROOT / "packages" / "dkist-task", EXAMPLE])
        for form in golden_archives():
            golden_package(form).write_wheel(wheels)
        export = cache(lambda python: _export(python, wheels, folder / python))
        for cell in cells:
            python = airflow_environment(airflow=cell.airflow, python=cell.python, constraints=constraints)
            outcome = _run(cell, python, export(cell.python), wheels, folder / f"{cell.airflow}-{cell.python}")
            yield cell, outcome


def _export(python: str, wheels: Path, output: Path) -> Path:
    """Export the example's release with locks for a Python, and return its folder."""
    command = [sys.executable, "-m", "dkist_build_utils", "export", WORKFLOWS, "--version", "dev"]
    command += ["--python", python, "--find-links", str(wheels), "--output", str(output)]
    done = subprocess.run(command, env=_environ(python), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    if python == GOLDEN_PYTHON:
        for archive in golden_archives().values():
            _unpack(archive, output)
    return Path(done.stdout.splitlines()[-1])


def _unpack(archive: Path, output: Path) -> None:
    """Put a golden release beside the example's. `deploy` would ask an index for its wheels, which no index has."""
    with tarfile.open(archive) as tar:
        tar.extractall(output, filter="data")


def _run(cell: Cell, python: Path, release: Path, wheels: Path, folder: Path) -> Outcome:
    query = "from importlib.metadata import version; print(version('apache-airflow'))"
    version = subprocess.run([python, "-c", query], capture_output=True, text=True, check=True).stdout.strip()
    data = folder / "data"
    worker = {
        "PATH": f"{python.parent}{os.pathsep}{_environ(cell.python)['PATH']}",
        "DKIST_ENVIRONMENT_STORE": str(folder.parent / f"environments-{cell.python}"),
        "DKIST_EXAMPLE_DATA": str(data),
        "DKIST_EXAMPLE_FRAME_SIZE": "64",
        "UV_FIND_LINKS": str(wheels),
        # Airflow 3.0.6 turns a missing issuer into an empty list, and then refuses that.
        "AIRFLOW__API_AUTH__JWT_ISSUER": "harness",
    }
    try:
        with PrivateAirflow(folder / "airflow", dags=release.parent, python=python, env=worker) as airflow:
            reason, log = _outcome_of_run(airflow, release)
            if not reason and cell.python == GOLDEN_PYTHON:
                reason, log = _outcome_of_golden(airflow)
    except (OSError, RuntimeError) as error:  # a failure on this Airflow is a result
        return Outcome(version, f"the run could not be made ({type(error).__name__})", str(error))
    if not reason and not list(data.glob("1/level1/*.fits")):
        reason = "the run succeeded, but made no level-1 image"
    return Outcome(version, reason, log)


def _outcome_of_run(airflow: PrivateAirflow, release: Path) -> tuple[str, str]:
    """Run the release's DAG. Return why it did not succeed (empty if it did), and the log."""
    airflow.create_pools(json.loads((release / "pools.json").read_text()))
    (dag_id,) = (path.stem for path in release.glob("*.py"))
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id, recipe_run_id=1)
    if airflow.wait_for_run(dag_id, run_id, timeout=RUN_SECONDS) == "success":
        return "", ""
    failed = [task.name for task in airflow.tasks(dag_id, run_id).values() if task.state == "failed"]
    return f"the run failed in {', '.join(failed)}", airflow.logs(dag_id, run_id)


def _outcome_of_golden(airflow: PrivateAirflow) -> tuple[str, str]:
    """Run every golden form. Return what did not end as it must (empty if all did), and the log."""
    expected = {"good": "success", "bad": "failed"}
    dag_ids = {f"golden_{name}_{form}": state for form in golden_archives() for name, state in expected.items()}
    for dag_id in dag_ids:
        airflow.wait_for_dag(dag_id)
    run_ids = {dag_id: airflow.trigger(dag_id, recipe_run_id=7) for dag_id in dag_ids}
    for dag_id, state in dag_ids.items():
        ended = airflow.wait_for_run(dag_id, run_ids[dag_id], timeout=RUN_SECONDS)
        if ended != state:
            return f"the golden form {dag_id} ended in {ended}, not in {state}", airflow.logs(dag_id, run_ids[dag_id])
    return "", ""


def _environ(python: str) -> dict[str, str]:
    """Return an environment whose PATH finds a Python, even if pyenv hides it."""
    return {**os.environ, "PATH": f"{find_interpreter(python).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
