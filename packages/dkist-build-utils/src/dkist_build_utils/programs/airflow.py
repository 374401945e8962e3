"""Questions to the Airflow on this machine, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkist_build_utils.errors import BuildError
from dkist_build_utils.programs.airflow_program import reads
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


@dataclass(frozen=True)
class AirflowSite:
    """The Airflow that the environment of this process names."""

    home: str
    """Its ``AIRFLOW_HOME``."""
    database: str
    """The address of its database, without a password."""
    dags_folders: tuple[str, ...]
    """The folders of this machine from which it reads DAG files."""
    fault: str | None
    """Why it cannot be asked; None if it can."""

    def __str__(self) -> str:
        return f"the Airflow of AIRFLOW_HOME={self.home} (database {self.database})"

    def fault_for(self, dags: Path) -> str | None:
        """Return why it cannot serve a dags folder; None if it can."""
        if self.fault is not None:
            return f"{self} {self.fault}"
        if reads(list(self.dags_folders), str(dags.resolve())):
            return None
        return f"{self} reads {', '.join(self.dags_folders) or 'no folder of this machine'}, not {dags}"


def missing_pools(dags: Path, pools: Mapping[str, Any], *, creates: bool) -> tuple[AirflowSite, tuple[str, ...]]:
    """Return which Airflow was asked, and the pools that it does not have; where wanted, create these first.

    An Airflow that does not read the dags folder is not searched, and gets no pools. Pools that exist stay as they are.
    """
    answer = _asked("pools", {"dags": str(dags.resolve()), "pools": dict(pools), "creates": creates})
    return _site(answer), tuple(answer["missing"])


def active_runs(dag_ids: Iterable[str]) -> tuple[AirflowSite, tuple[tuple[str, str, str], ...]]:
    """Return which Airflow was asked, and DAG id, run id and state of each queued or running run of some DAGs."""
    answer = _asked("runs", {"dag_ids": sorted(dag_ids)})
    return _site(answer), tuple((dag_id, run_id, state) for dag_id, run_id, state in answer["runs"])


def _site(answer: Mapping[str, Any]) -> AirflowSite:
    site = answer["site"]
    return AirflowSite(site["home"], site["database"], tuple(site["dags_folders"]), site["fault"])


def _asked(question: str, request: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
        file = Path(folder, "request.json")
        file.write_text(json.dumps(request), encoding="utf-8")
        answer: dict[str, Any] = _answer(question, file, os.environ)
    return answer


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
                "upgrade its database with 'airflow db migrate' if Airflow was upgraded, or use --no-airflow"
            )
        return json.loads(answer.read_text(encoding="utf-8"))
