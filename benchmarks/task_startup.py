"""CPU time of what every task pays before its own first line, as ratios.

``import dkist_task`` is held against ``import opentelemetry.trace``, which it needs (at most 1.2), and so is the launcher
with no exporter configured around a task that does nothing (at most 1.5). The import of the predecessor stands beside them
where an interpreter that has it is named::

    python benchmarks/task_startup.py [--predecessor PYTHON] [--rounds N] [--json FILE]

Each round runs every command once, in turn, so that a busy machine slows all of them alike; the median counts.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FLOOR = "import opentelemetry.trace"
LIMITS = {"import dkist_task": 1.2, "launcher, no exporter": 1.5}
TASK = "from dkist_task import TaskBase\nclass Nothing(TaskBase):\n    def run(self): pass\n"


def cpu_seconds(command: list[str], environment: dict[str, str]) -> float:
    """Run `command` and return the CPU time of its process."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None  # noqa: S101 as asked for above
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors}")
    return usage.ru_utime + usage.ru_stime


def commands(predecessor: Path | None) -> dict[str, list[str]]:
    """Return what is measured, by name."""
    python = [sys.executable, "-P"]
    run = ["-m", "dkist_task", "run", "nothing:Nothing", "--recipe-run-id=1", "--workflow-name=w"]
    measured = {
        "bare interpreter": [*python, "-c", "pass"],
        FLOOR: [*python, "-c", FLOOR],
        "import dkist_task": [*python, "-c", "import dkist_task"],
        "launcher, no exporter": [*python, *run, "--workflow-version=1"],
    }
    if predecessor is not None:
        measured["predecessor: import TaskBase"] = [
            str(predecessor),
            "-c",
            "from dkist_processing_core import TaskBase",
        ]
    return measured


def measure(predecessor: Path | None, rounds: int) -> dict[str, float]:
    """Return the median CPU seconds of each command."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "nothing.py").write_text(TASK)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": folder}
        times: dict[str, list[float]] = {name: [] for name in commands(predecessor)}
        for round_number in range(rounds + 1):
            for name, command in commands(predecessor).items():
                seconds = cpu_seconds(command, environment)
                if round_number:  # the first writes bytecode and fills the page cache
                    times[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def main() -> int:
    """Print the table and tell by the exit status whether the limits are kept."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--predecessor", type=Path, help="a Python 3.13 that has dkist-processing-core")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the results there, too")
    options = parser.parse_args()
    medians = measure(options.predecessor, options.rounds)
    too_slow = False
    for name, seconds in medians.items():
        ratio = seconds / medians[FLOOR]
        limit = LIMITS.get(name)
        too_slow |= limit is not None and ratio > limit
        print(f"{name:30} {seconds * 1000:7.1f} ms {ratio:7.2f} x" + (f"  (at most {limit})" if limit else ""))
    if options.predecessor is None:
        print("predecessor: not measured, as no interpreter that has it was named (--predecessor)")
    if options.json:
        options.json.write_text(json.dumps({"cpu_seconds": medians, "floor": FLOOR, "limits": LIMITS}, indent=1) + "\n")
    return int(too_slow)


if __name__ == "__main__":
    sys.exit(main())
