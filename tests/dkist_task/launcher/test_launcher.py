"""The launcher, run as an exported DAG runs it: by a real interpreter in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.coverage import coverage_settings

TASKS = """
import sys

from dkist_task import TaskBase


class Done(TaskBase):
    def run(self):
        print("working on", self.recipe_run_id, self.workflow_name, self.workflow_version, self.task_name)

    def rollback(self):
        print("undone")


class Raises(TaskBase):
    def run(self):
        raise ValueError("bad frame")


class Skips(TaskBase):
    def run(self):
        sys.exit(99)


class ExitsClean(TaskBase):
    def run(self):
        sys.exit(0)


class ExitsTruncated(TaskBase):
    def run(self):
        sys.exit(256)


class ExitsWithText(TaskBase):
    def run(self):
        sys.exit("no frames")


class RaisesInInit(TaskBase):
    def __init__(self, **parameters):
        raise RuntimeError("no scratch space")

    def run(self):
        pass


class RaisesInExit(TaskBase):
    def run(self):
        pass

    def __exit__(self, *exc_info):
        raise OSError("cannot clean up")


class Unfinished(TaskBase):
    pass


NotATask = 3
"""

PARAMETERS = ("--recipe-run-id", "7", "--workflow-name", "vbi_l0_to_l1", "--workflow-version", "1.2.0")


def launch(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the launcher over a module ``tasks`` in `folder` and return what came of it."""
    (folder / "tasks.py").write_text(TASKS)
    return subprocess.run(
        [sys.executable, "-P", "-u", "-m", "dkist_task", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), **coverage_settings(), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_task_runs_and_its_log_opens_with_what_it_runs_on(tmp_path: Path) -> None:
    """A finished task exits with 0 and its log opens with task, run, host, environment and limits."""
    ended = launch(tmp_path, "run", "tasks:Done", *PARAMETERS)
    assert ended.returncode == 0, ended.stderr
    names = [line.partition(":")[0] for line in ended.stdout.splitlines()]
    assert names[:9] == [
        "task", "workflow", "distribution", "host", "environment", "python", "processors", "memory", "process",
    ]  # fmt: skip
    assert "working on 7 vbi_l0_to_l1 1.2.0 Done" in ended.stdout


def test_parameters_come_from_the_environment_too(tmp_path: Path) -> None:
    """The variables that an exported DAG sets stand in for every argument."""
    variables = {
        "DKIST_TASK": "tasks:Done",
        "DKIST_RECIPE_RUN_ID": "8",
        "DKIST_WORKFLOW_NAME": "w",
        "DKIST_WORKFLOW_VERSION": "dev",
        "DKIST_TRY_NUMBER": "2",
    }
    ended = launch(tmp_path, "run", environment=variables)
    assert ended.returncode == 0, ended.stderr
    assert "working on 8 w dev Done" in ended.stdout
    assert "try 2" in ended.stdout


def test_rollback_runs_the_tasks_rollback_alone(tmp_path: Path) -> None:
    """Asked to roll back, the launcher calls nothing else of the task."""
    ended = launch(tmp_path, "rollback", "tasks:Done", *PARAMETERS)
    assert ended.returncode == 0, ended.stderr
    assert "undone" in ended.stdout
    assert "working" not in ended.stdout


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("Raises", "ValueError: bad frame"),
        ("RaisesInInit", "RuntimeError: no scratch space"),
        ("RaisesInExit", "OSError: cannot clean up"),
    ],
)
def test_a_task_that_raises_exits_with_1_and_one_traceback(tmp_path: Path, task: str, message: str) -> None:
    """Wherever a task raises, the status is 1 and the log holds the traceback exactly once."""
    ended = launch(tmp_path, "run", f"tasks:{task}", *PARAMETERS)
    log = ended.stdout + ended.stderr
    assert ended.returncode == 1
    assert log.count("Traceback (most recent call last)") == 1
    assert message in log


@pytest.mark.parametrize("task", ["Skips", "ExitsTruncated", "ExitsWithText"])
def test_no_exit_status_of_a_task_leaks_out(tmp_path: Path, task: str) -> None:
    """99 would read as skipped to Airflow and 256 as success to everybody: each is 1."""
    assert launch(tmp_path, "run", f"tasks:{task}", *PARAMETERS).returncode == 1


def test_a_task_may_exit_with_0(tmp_path: Path) -> None:
    """A task that leaves by ``sys.exit(0)`` is done."""
    assert launch(tmp_path, "run", "tasks:ExitsClean", *PARAMETERS).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "tasks:Missing", *PARAMETERS], "no class 'Missing' in module 'tasks'"),
        (["run", "nowhere.tasks:Done", *PARAMETERS], "no module 'nowhere.tasks'"),
        (["run", "sys:Missing", *PARAMETERS], "no class 'Missing' in module 'sys'"),
        (["run", "tasks:NotATask", *PARAMETERS], "tasks:NotATask is not a TaskBase"),
        (["run", "tasks:Unfinished", *PARAMETERS], "does not define run"),
        (["run", "tasks.Done", *PARAMETERS], "is not MODULE:CLASS"),
        (["run", *PARAMETERS], "no task"),
        (["run", "tasks:Done", *PARAMETERS[2:]], "no recipe run id"),
        (["run", "tasks:Done", *PARAMETERS[:4]], "no workflow version"),
        (["fly", "tasks:Done", *PARAMETERS], "invalid choice: 'fly'"),
        (["run", "tasks:Done", "--recipe\nrun", "7"], "unrecognized arguments"),
    ],
)
def test_an_unusable_request_is_one_line_and_status_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    """What cannot be run is refused in one line on standard error, without a traceback."""
    ended = launch(tmp_path, *arguments)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert message in ended.stderr


@pytest.mark.parametrize(
    "text", ["0", "-1", "+1", " 1", "1 ", "1_000", "1.0", "\uff11", "\u0663", "0x1", "", "one", "1\n", "9" * 5000]
)
def test_a_recipe_run_id_is_a_positive_integer_in_digits(tmp_path: Path, text: str) -> None:
    """Only ASCII digits spell a recipe run id, though Python's `int` would take more."""
    ended = launch(tmp_path, "run", "tasks:Done", f"--recipe-run-id={text}", *PARAMETERS[2:])
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "recipe run id" in ended.stderr


def test_a_huge_recipe_run_id_is_passed_whole(tmp_path: Path) -> None:
    """An id beyond 64 bits is an id."""
    ended = launch(tmp_path, "run", "tasks:Done", "--recipe-run-id", "9" * 30, *PARAMETERS[2:])
    assert ended.returncode == 0, ended.stderr
    assert f"working on {'9' * 30} " in ended.stdout


def test_a_module_that_fails_on_import_shows_its_traceback(tmp_path: Path) -> None:
    """A broken import of the task's own module is the task's failure, not an unusable request."""
    (tmp_path / "broken.py").write_text("import dkist_no_such_dependency\n")
    ended = launch(tmp_path, "run", "broken:Done", *PARAMETERS)
    assert ended.returncode == 1
    assert "No module named 'dkist_no_such_dependency'" in ended.stderr
