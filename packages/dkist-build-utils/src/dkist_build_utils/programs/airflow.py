"""Questions to the Airflow on this machine, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkist_build_utils.errors import BuildError
from dkist_build_utils.programs.interpreter import run_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PROGRAM = Path(__file__).with_name("airflow_program.py")
_TIMEOUT_SECONDS = 1800


def is_airflow_installed() -> bool:
    """Return whether this interpreter could import Airflow, without importing it."""
    return find_spec("airflow") is not None


def load_errors(files: Mapping[str, bytes]) -> dict[str, str]:
    """Load DAG files in Airflow and return its errors by file name.

    Airflow gets a home of its own: the configuration and the database of this machine are neither read nor changed.
    """
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as home:
        folder = Path(home, "dags")
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        environment |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": str(_TIMEOUT_SECONDS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        errors: dict[str, str] = _answer("load", folder, environment)
    return errors


def create_missing_pools(pools: Mapping[str, Any]) -> tuple[str, ...]:
    """Create the pools that Airflow does not have and return their names; pools that exist stay as they are."""
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
        file = Path(folder, "pools.json")
        file.write_text(json.dumps(dict(pools)), encoding="utf-8")
        return tuple(_answer("pools", file, os.environ))


def active_runs(dag_ids: Iterable[str]) -> tuple[tuple[str, str, str], ...]:
    """Return DAG id, run id and state of each queued or running run of some DAGs."""
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
        file = Path(folder, "dag_ids.json")
        file.write_text(json.dumps(sorted(dag_ids)), encoding="utf-8")
        return tuple((dag_id, run_id, state) for dag_id, run_id, state in _answer("runs", file, os.environ))


def _answer(question: str, argument: Path, environment: Mapping[str, str]) -> Any:
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
        answer = Path(folder, "answer.json")
        try:
            done = run_program(
                sys.executable,
                _PROGRAM,
                [question, argument, answer],
                folder=folder,
                environment=environment,
                timeout=_TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise BuildError(f"Airflow did not answer within {_TIMEOUT_SECONDS} s") from None
        if done.returncode != 0 or not answer.exists():
            lines = done.stderr.strip().splitlines() or ["it printed nothing"]
            reason = next((line for line in reversed(lines) if "Error" in line), lines[-1])
            raise BuildError(
                f"the Airflow on this machine does not answer (exit status {done.returncode}): {reason}; "
                "create its database with 'airflow db migrate', or use --no-airflow"
            )
        return json.loads(answer.read_text(encoding="utf-8"))
