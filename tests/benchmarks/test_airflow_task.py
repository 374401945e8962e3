"""The two tasks whose output is timed in a real Airflow write the same lines."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.airflow_task import LINE, LINES, TASK, write_by_hand, write_ours

if TYPE_CHECKING:
    from pathlib import Path


def test_both_tasks_write_as_many_lines(tmp_path: Path) -> None:
    """What a BashOperator runs writes each of the lines that its log is checked for."""
    write_by_hand(tmp_path / "dags")
    call = next(
        node
        for node in ast.walk(ast.parse((tmp_path / "dags" / "by_hand.py").read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "BashOperator"
    )
    arguments = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
    done = subprocess.run(["bash", "-c", arguments["bash_command"]], capture_output=True, text=True, check=True)
    assert arguments["task_id"] == TASK
    assert done.stdout == f"{LINE}\n" * LINES


def test_exported_task_is_the_one_that_the_worker_installs(tmp_path: Path) -> None:
    """It is not of this project: the DAG file names the module of the wheel, and its lock lies beside it."""
    dag_id = write_ours(tmp_path / "dags", b"a lock")
    folder = tmp_path / "dags" / "benchmark_1.0.0"
    text = (folder / f"{dag_id}.py").read_text()
    assert f"'entry_point': 'instrument_ours.tasks:{TASK}'" in text
    assert (folder / "requirements.txt").read_bytes() == b"a lock"
    sys.modules.pop("instrument_ours.tasks", None)
