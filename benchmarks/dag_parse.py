"""Measure what a DAG file of twelve tasks costs Airflow besides its imports: ours, hand-written, the predecessor's."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.dag_files import run_with_airflow, write_by_hand, write_ours
from benchmarks.measure import Comparison, report
from benchmarks.predecessor import NAME, predecessor_interpreter
from benchmarks.twelve_tasks import STEPS
from harness.interpreter import InterpreterMissingError

COUNTS = (1, 10, 100, 500)
ROUNDS = 3
LARGEST_RATIO = 1.6
"""The promised limit against a hand-written file, from the second time on: every Airflow 3 keeps the bytecode."""
LARGEST_FIRST_RATIO = 2.4
"""The limit where no bytecode is kept yet, or none can be: the operator is in the file (docs/decisions/0010)."""
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
        rows += _comparisons(here, folder, "by-hand", limit=LARGEST_FIRST_RATIO, is_first=True)
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


if __name__ == "__main__":
    report(compare)
