"""Measure Airflow's dag-processor over 500 DAG files: ours, hand-written, the predecessor's.

The dag-processor starts a process for each file, reads the file there, and writes the DAG to its database. The
processor time of all of them is compared, less that of a dag-processor with no file: other programs on the machine
change the wall clock, and not this. Each kind has a database of its own and is read twice: the first time each DAG is
new. What is compared is the second time, which a site pays every few minutes.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.dag_files import run_with_airflow, write_by_hand, write_ours
from benchmarks.dag_parse import HERE, REFERENCES
from benchmarks.measure import Comparison, report
from benchmarks.predecessor import predecessor_interpreter
from benchmarks.twelve_tasks import STEPS
from harness.interpreter import InterpreterMissingError

FILES = 500
FILES_OF_PREDECESSOR = 50
"""Each takes seconds: what is compared is the time for one file."""
LARGEST_RATIO = 1.2
"""The promised limit against hand-written files."""


def compare() -> list[Comparison]:
    """Measure all kinds in the predecessor's interpreter, or ours and hand-written ones in this, if it is missing."""
    with tempfile.TemporaryDirectory(prefix="dkist-benchmark-") as name:
        folder = Path(name)
        write_ours(folder / "ours", FILES)
        write_by_hand(folder / "by-hand", FILES)
        kinds = {"ours": FILES, "by-hand": FILES}
        missing = ""
        try:
            python = predecessor_interpreter()
        except InterpreterMissingError as error:
            python, missing = Path(sys.executable), f"NOT MEASURED: {error}"
        else:
            (folder / "predecessor").mkdir()
            run_with_airflow(
                [python, HERE / "predecessor_files.py", folder / "predecessor", FILES_OF_PREDECESSOR], folder
            )
            kinds["predecessor"] = FILES_OF_PREDECESSOR
        (folder / "empty").mkdir()
        taken = {kind: _measure(python, folder, kind) for kind in ("empty", *kinds)}
        seconds = {kind: (taken[kind]["cpu_seconds"] - taken["empty"]["cpu_seconds"]) / kinds[kind] for kind in kinds}
    rows = []
    for kind, against in REFERENCES.items():
        is_measured = kind in kinds
        limit = LARGEST_RATIO if kind == "by-hand" else None
        note = f"{1 / seconds['ours']:.0f} files a second and processor" if is_measured else missing
        rows += [
            Comparison(
                f"dag-processor: one of {FILES} files of {len(STEPS)} tasks",
                ours=seconds["ours"],
                reference=seconds[kind] if is_measured else None,
                against=against,
                limit=limit,
                note=note,
            ),
            Comparison(
                "dag-processor: memory, at most",
                ours=taken["ours"]["peak_bytes"] / 1e6,
                reference=taken[kind]["peak_bytes"] / 1e6 if is_measured else None,
                against=against,
                unit="MB",
                limit=limit,
                note=missing if not is_measured else "",
            ),
        ]
    return rows


def _measure(python: Path, folder: Path, kind: str) -> dict[str, float]:
    """Return what reading the folder takes once its DAGs are in the database."""
    home = folder / "airflow"
    shutil.rmtree(home, ignore_errors=True)
    run_with_airflow([python, "-m", "airflow", "db", "migrate"], folder)
    program: list[object] = [python, HERE / "dag_processor_run.py", folder / kind]
    run_with_airflow(program, folder)
    taken: dict[str, float] = json.loads(run_with_airflow(program, folder).splitlines()[-1])
    return taken


if __name__ == "__main__":
    report(compare)
