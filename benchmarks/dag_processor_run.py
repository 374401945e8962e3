"""Run Airflow's dag-processor once over a folder of DAG files, and print what it took.

This is a program for an interpreter that has Airflow: ``python dag_processor_run.py FOLDER``, with ``AIRFLOW_HOME``
set to a home whose database is migrated. It prints a JSON object: ``seconds`` (wall clock), ``cpu_seconds`` (of the
dag-processor and all processes that it started) and ``peak_bytes`` (the largest sum of their proportional set sizes).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

SAMPLE_SECONDS = 0.25


def proportional_bytes(group: int) -> int:
    """Return the sum of the proportional set sizes of a process and its descendants."""
    total, waiting = 0, [group]
    while waiting:
        process = Path("/proc", str(waiting.pop()))
        try:
            for line in (process / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
            for task in (process / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:  # it has ended
            continue
    return total


def main() -> None:
    """Run it, look at its memory until it ends, and print the figures."""
    environ = os.environ | {"AIRFLOW__CORE__DAGS_FOLDER": sys.argv[1]}
    command = [sys.executable, "-m", "airflow", "dag-processor", "--num-runs", "1"]
    peak, start = 0, time.monotonic()
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, proportional_bytes(process.pid))
            time.sleep(SAMPLE_SECONDS)
    seconds = time.monotonic() - start
    if process.returncode:
        sys.exit(f"the dag-processor ended with {process.returncode}")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
