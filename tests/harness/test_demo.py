"""What the demo prints and keeps. The demo itself is a step of CI."""

from __future__ import annotations

import fcntl
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from harness.demo import DemoRun, environment_of, failure_of, new_run, products, table
from harness.rest import TaskState

if TYPE_CHECKING:
    from pathlib import Path

LOG = """environment /store/0123-py3.11-x86_64
Traceback (most recent call last):
  File "tasks.py", line 1, in run
ValueError: first

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
ExampleError: second
::endgroup::
Task failed with exception"""


def test_shows_the_whole_traceback_and_nothing_of_airflow() -> None:
    """A failed task's chained tracebacks are printed, without the lines that Airflow adds."""
    shown = failure_of(LOG)
    assert shown.startswith("Traceback")
    assert "ValueError: first" in shown
    assert shown.endswith("ExampleError: second")


def test_shows_what_a_task_said_where_it_has_no_traceback() -> None:
    """If there is no traceback, the last lines of the log are printed."""
    assert failure_of("no 'uv' on the PATH of this worker") == "no 'uv' on the PATH of this worker"


def test_the_table_names_the_environment_of_each_task() -> None:
    """Seconds and environment stand beside each task, and stay empty for one that never ran."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    ran = TaskState("Calibrate", "success", 1, start, start + timedelta(seconds=1.25), "default", "default_pool")
    never = TaskState("Draw", "upstream_failed", 0, None, None, "default", "default_pool")
    lines = table([(ran, environment_of(LOG)), (never, "")]).splitlines()
    assert lines[2].split() == ["Calibrate", "success", "1.2", "0123-py3.11-x86_64"]
    assert lines[3].split() == ["Draw", "upstream_failed"]


def test_old_runs_go_but_never_one_that_is_going_on(tmp_path: Path) -> None:
    """The three newest runs are kept, and any older one whose lock is held."""
    names = []
    for day in range(1, 6):
        folder = tmp_path / "runs" / f"2024-01-0{day}T000000-x"
        folder.mkdir(parents=True)
        (folder / "lock").touch()
        names.append(folder.name)
    with (tmp_path / "runs" / names[0] / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with new_run(tmp_path) as run:
            assert {folder.name for folder in run.folder.parent.iterdir()} == {*names[3:], names[0], run.folder.name}


def test_says_where_the_products_are(tmp_path: Path) -> None:
    """One file is named, several are counted, and missing products are left out."""
    for name in ("level1/a.fits", "level1/b.fits", "quicklook/quicklook.png"):
        file = tmp_path / "data" / "7" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    said = products(DemoRun(tmp_path), 7)
    assert f"{tmp_path / 'data/7/level1'} (2 files)" in said
    assert str(tmp_path / "data/7/quicklook/quicklook.png") in said
    assert "quality" not in said
    assert "record" not in said


def test_ends_with_the_record_and_its_picture(tmp_path: Path) -> None:
    """What the tasks recorded is made into a record, and both paths are printed."""
    start = {"record": 1, "task": "Draw", "workflow": "example", "workflow_version": "1", "recipe_run_id": 7}
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a.jsonl").write_text(json.dumps(start | {"started": "2024-01-01T00:00:00.000Z"}))
    said = products(DemoRun(tmp_path), 7).splitlines()
    assert said[0].split() == ["run", "record", str(tmp_path / "record")]
    assert said[1].split() == ["picture", "of", "it", str(tmp_path / "record" / "record.svg")]
    assert (tmp_path / "record" / "ro-crate-metadata.json").exists()
