"""Who calls `rollback`: a person, or the launcher before a retry where the task asks for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.dkist_task.conftest import Launcher

ROLLS_BACK = """
def leave():
    if os.environ.get("IN_ROLLBACK") == "raise": raise OSError("disk")
    if os.environ.get("IN_ROLLBACK") == "exit": sys.exit(0)

class Task(TaskBase):
    rollback_before_retry = True
    def pre_run(self): print("prepare")
    def run(self): print("work")
    def rollback(self): print("undo attempt before", self.try_number); leave()
class Plain(Task):
    rollback_before_retry = False
"""


@pytest.mark.parametrize(
    ("task", "try_number", "said"),
    [
        ("Task", "1", ["prepare", "work"]),
        ("Task", "", ["prepare", "work"]),
        ("Task", "2", ["undo attempt before 2", "prepare", "work"]),
        ("Plain", "2", ["prepare", "work"]),
    ],
)
def test_rollback_comes_before_a_retry_where_a_task_asks_for_it(
    launch: Launcher, task: str, try_number: str, said: list[str]
) -> None:
    """Only a task that says so is rolled back, and only in an attempt after the first."""
    ended = launch(ROLLS_BACK, task, DKIST_TRY_NUMBER=try_number)
    assert ended.status == 0, ended.log
    assert ended.output.splitlines()[-len(said) :] == said


@pytest.mark.parametrize("how", ["raise", "exit"])
def test_an_attempt_whose_rollback_fails_does_no_work(launch: Launcher, tmp_path: Path, how: str) -> None:
    """What an earlier attempt left may be anything, so nothing is built on it; leaving with 0 is no success either."""
    ended = launch(ROLLS_BACK, DKIST_TRY_NUMBER="2", IN_ROLLBACK=how, DKIST_OUTCOME_FILE=str(tmp_path / "outcome.json"))
    assert ended.status == 1
    assert "work" not in ended.output.splitlines()
    assert json.loads((tmp_path / "outcome.json").read_text())["result"] == "failure"
