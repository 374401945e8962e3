"""Validate and export real client packages: the predecessor's commands and ours, in one run.

Two packages from the index: as they are, with the predecessor, and after ``dkist-build migrate``, with ours. The
predecessor's ``validate_workflows`` compiles files and its ``export_dags`` writes them. Ours also import each task as
its environment will, resolve a lock for each set of extras, make its environment and import the tasks in it.

The goals are seconds on two free cores: validate 10, export 45 the first time and 8 when nothing has changed. Each
row's note has the seconds. Wall-clock time on a shared machine says little, so a limit is on processor time, as a
multiple of the predecessor's: below 1 where nothing has changed, a bit above 2 where tasks are imported for six
environments. The first export has none: most of it is the client's own imports, once in each environment, and the
predecessor does nothing like it.

uv's cache must be warm: run it again if it was not, since downloads take processor time too.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.client import CLIENTS, migrated_client, original_client
from benchmarks.measure import Comparison, report
from benchmarks.predecessor import NAME
from harness.client_packages import IndexMissingError
from harness.interpreter import InterpreterMissingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.client import Client

_LIMITS: Mapping[str, float | None] = {
    "validate": 2.2,
    "validate, nothing changed": 0.9,
    "export": None,
    "export, nothing changed": 0.9,
}
_PREDECESSOR_PROGRAM = """
import importlib, sys
from dkist_processing_core import build_utils
package = importlib.import_module(sys.argv[2])
build_utils.validate_workflows(package) if sys.argv[1] == "validate" else build_utils.export_dags(package, "exported")
"""


@dataclass(frozen=True)
class _Cost:
    """What a command took."""

    processor: float
    """Seconds of processor time, its children included."""
    wall: float
    """Seconds."""


def compare() -> list[Comparison]:
    """Measure both clients."""
    return [row for client in CLIENTS for row in _compared(client)]


def _compared(client: Client) -> list[Comparison]:
    """Return a row for each command of ours, or one that says why there is none."""
    try:
        predecessor, ours = original_client(client), migrated_client(client)
    except (IndexMissingError, InterpreterMissingError, subprocess.CalledProcessError) as error:
        return [
            _row(f"{client.title}: {name}", _Cost(0.0, 0.0), None, limit, str(error)) for name, limit in _LIMITS.items()
        ]
    with tempfile.TemporaryDirectory(prefix="dkist-client-") as text:
        folder, work = Path(text), Path(text, "work")
        work.mkdir()  # Python looks for modules there, so what is remembered must lie elsewhere
        environ = {**_environ(), "DKIST_BUILD_CACHE": str(folder / "cache"), "AIRFLOW_HOME": str(folder / "airflow")}
        program = ["-c", _PREDECESSOR_PROGRAM]
        tool = [str(ours.interpreter), "-m", "dkist_build_utils"]
        validate = [*tool, "validate", client.workflows, "--no-airflow"]
        export = [*tool, "export", client.workflows, "--version", client.version, "--find-links", str(ours.wheels)]

        def cost(*command: str | Path) -> _Cost:
            return _cost([str(each) for each in command], work, environ)

        for interpreter in (predecessor, ours.interpreter):  # the first import reads every file from the disk
            cost(interpreter, "-c", f"import {client.workflows}")
        references = {name: cost(predecessor, *program, name, client.workflows) for name in ("validate", "export")}
        commands = {"validate": validate, "export": export}
        rows = []
        for name, limit in _LIMITS.items():
            kind = name.partition(",")[0]
            rows.append(_row(f"{client.title}: {name}", cost(*commands[kind]), references[kind], limit))
        return rows


def _row(name: str, ours: _Cost, reference: _Cost | None, limit: float | None, note: str = "") -> Comparison:
    if reference is not None:
        load = os.getloadavg()[0]
        note = f"wall-clock {ours.wall:.1f} s beside {reference.wall:.1f} s, load {load:.1f}"
    processor = None if reference is None else reference.processor
    return Comparison(name, ours.processor, processor, NAME, unit="s CPU", limit=limit, note=note)


def _cost(command: Sequence[str], folder: Path, environ: dict[str, str]) -> _Cost:
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ends with {done.returncode}:\n{done.stdout}{done.stderr}")
    return _Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def _environ() -> dict[str, str]:
    """Return the environment variables without what would change the measured commands."""
    python = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    dropped = (*python, "UV_CONSTRAINT", "BUILD_VERSION", "UV_FIND_LINKS")
    return {key: value for key, value in os.environ.items() if key not in dropped}


if __name__ == "__main__":
    report(compare)
