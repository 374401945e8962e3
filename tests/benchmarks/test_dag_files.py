"""What the benchmarks of DAG files measure is a file as Airflow gets it, beside one that a person would write."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.dag_files import run_with_airflow, write_by_hand, write_ours
from benchmarks.serialised_bytes import bytes_of_task
from benchmarks.serialised_task import PROMISED_BYTES
from benchmarks.twelve_tasks import STEPS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_dag_file_stays_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the modules of DAG files away again."""
    monkeypatch.setitem(sys.modules, "dag_file", sys)


def test_files_differ_in_their_version_only(tmp_path: Path) -> None:
    """As many versions of one workflow as are asked for, each with all the tasks."""
    write_ours(tmp_path / "ours", 2)
    write_by_hand(tmp_path / "by-hand", 2)
    ours, by_hand = (sorted((tmp_path / kind).iterdir()) for kind in ("ours", "by-hand"))
    assert [path.name for path in ours] == ["benchmark_twelve_1.0.py", "benchmark_twelve_1.1.py"]
    assert [path.name for path in by_hand] == ["by_hand_1.0.py", "by_hand_1.1.py"]
    assert all(path.read_text().count("'task_id': ") == len(STEPS) for path in ours)
    assert all(path.read_text().count("BashOperator(") == len(STEPS) for path in by_hand)


def test_size_of_a_task_is_that_in_the_database(tmp_path: Path) -> None:
    """It grows with what the task carries, byte for byte."""
    write_ours(tmp_path / "ours", 1)
    (path,) = (tmp_path / "ours").iterdir()
    size = bytes_of_task(str(path))
    assert size <= PROMISED_BYTES
    text = path.read_text()
    longer = tmp_path / "longer.py"
    longer.write_text(text.replace("'doc': 'One of twelve.'", f"'doc': {'One of twelve.' + 'x' * 120!r}"))
    assert bytes_of_task(str(longer)) - size == pytest.approx(100)  # ten of twelve tasks have this text


def test_program_that_fails_says_what_it_printed(tmp_path: Path) -> None:
    """Nothing is measured then, and a reader needs the cause."""
    with pytest.raises(RuntimeError, match=r"(?s)ended with 1:\n.*no such DAG"):
        run_with_airflow([sys.executable, "-c", "raise SystemExit('no such DAG')"], tmp_path)
