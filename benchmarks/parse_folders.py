"""Time how long Airflow takes to load the DAG files of folders, on top of its own imports.

This is a program for an interpreter that has Airflow. ``python parse_folders.py ROUNDS FOLDER...`` prints a JSON
object: for each folder, the seconds of processor time of each round.

Each folder is loaded in a process forked from one that has imported Airflow, as the dag-processor does for each file,
and the folders take turns. Bytecode is kept from one load to the next, as Airflow does, unless the interpreter runs
with -B.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param


def warm_up() -> None:
    """Make Airflow import what every DAG needs, so that no file pays for it."""
    DAG("warm_up", schedule=None, params={"number": Param(type="integer")}).add_task(
        BashOperator(task_id="one", bash_command="true")
    )
    DagBag(Path(__file__), load_op_links=False, bundle_name="benchmark")


def load(folder: Path) -> float:
    """Return the processor seconds that loading the folder's files takes."""
    count = len(list(folder.glob("*.py")))
    start = time.process_time()
    bag = DagBag(folder, load_op_links=False, bundle_name="benchmark")
    seconds = time.process_time() - start
    if bag.import_errors or len(bag.dags) != count:
        raise RuntimeError(f"{folder}: {len(bag.dags)} DAGs in {count} files; {bag.import_errors}")
    return seconds


def load_in_fork(folder: Path) -> float:
    """Return the processor seconds that loading takes in a forked process."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, repr(load(folder)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        seconds = answer.read()
    os.waitpid(child, 0)
    if not seconds:
        raise RuntimeError(f"{folder} could not be loaded")
    return float(seconds)


def main() -> None:
    """Measure every folder and print the seconds."""
    rounds, folders = int(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]]
    warm_up()
    for folder in folders:
        load_in_fork(folder)
    seconds: dict[str, list[float]] = {str(folder): [] for folder in folders}
    for _ in range(rounds):
        for folder in folders:
            seconds[str(folder)].append(load_in_fork(folder))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
