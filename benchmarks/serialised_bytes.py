"""Print what Airflow's database keeps of each task of DAG files: the bytes of a task in the serialised DAG.

This is a program for an interpreter that has Airflow. ``python serialised_bytes.py FILE...`` prints a JSON object: for
each file, the mean of its tasks.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any

import airflow.serialization.serialized_objects as serialized


def bytes_of_task(path: str) -> float:
    """Return the mean size of the serialised tasks of a DAG file, which calls its DAG ``dag``."""
    spec = importlib.util.spec_from_file_location("dag_file", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["dag_file"] = module
    spec.loader.exec_module(module)
    names: dict[str, Any] = vars(serialized)
    serialiser = names.get("DagSerialization") or names["SerializedDAG"]  # as it was called before
    tasks = serialiser.to_dict(module.dag)["dag"]["tasks"]
    return len(json.dumps(tasks).encode()) / len(tasks)


def main() -> None:
    """Measure every file and print the sizes."""
    print(json.dumps({path: bytes_of_task(path) for path in sys.argv[1:]}))


if __name__ == "__main__":
    main()
