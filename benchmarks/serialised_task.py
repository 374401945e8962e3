"""Measure what Airflow's database keeps of each task of each deployed version, on every supported Airflow."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks.dag_files import run_with_airflow, write_by_hand, write_ours
from benchmarks.measure import Comparison, report
from harness.airflow_environment import airflow_environment
from harness.constraints import airflow_minors

PROMISED_BYTES = 1200
"""What a serialised task may take."""
HERE = Path(__file__).parent


def compare() -> list[Comparison]:
    """Measure an exported and a hand-written file on each Airflow."""
    with tempfile.TemporaryDirectory(prefix="dkist-benchmark-") as name:
        folder = Path(name)
        write_ours(folder / "ours", 1)
        write_by_hand(folder / "by-hand", 1)
        (ours,), (by_hand,) = folder.glob("ours/*.py"), folder.glob("by-hand/*.py")
        rows = []
        for minor in airflow_minors():
            command = [airflow_environment(airflow=minor), HERE / "serialised_bytes.py", ours, by_hand]
            sizes = json.loads(run_with_airflow(command, folder).splitlines()[-1])
            rows.append(
                Comparison(
                    f"a serialised task, Airflow {minor}",
                    sizes[str(ours)],
                    PROMISED_BYTES,
                    "the promise",
                    unit="B",
                    limit=1,
                    note=f"a stock BashOperator of one line: {sizes[str(by_hand)]:.0f} B",
                )
            )
    return rows


if __name__ == "__main__":
    report(compare)
