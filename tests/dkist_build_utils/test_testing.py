"""The fixtures for tests of an instrument package, by the file that the documentation shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dkist_build_utils.local_run import RunSummary, TaskSummary
from dkist_build_utils.testing import TaskRun
from dkist_task import TaskBase
from harness.packages import Package

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "test-an-instrument-package.md"

TASKS = """
from dkist_task import TaskBase

class Calibrate(TaskBase):
    gain = 2
    def run(self) -> None:
        with self.telemetry_span("divide", {"frames": 4}):
            self.mean = 4 / self.gain
"""

WORKFLOWS = """
from dkist_workflow import Workflow
from my_instrument.tasks import Calibrate

l0_to_l1 = Workflow("my", "l0_to_l1", __package__)
l0_to_l1.add_node(Calibrate)
"""


def test_the_documented_test_file_passes(tmp_path: Path) -> None:
    """The blocks of the page are a conftest.py and a test file, and all of its tests pass."""
    conftest, tests = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    package = Package("my-instrument", modules={"tasks": TASKS, "workflows": WORKFLOWS}, dependencies=["dkist-task"])
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "zipfile", "-e", str(package.write_wheel(tmp_path / "wheels")), str(site)], check=True
    )
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_instrument.py").write_text(tests)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


class Idle(TaskBase):
    """Does nothing."""

    def run(self) -> None:
        """Do nothing."""


def test_what_is_not_there_is_named_with_what_is() -> None:
    """A test that asks for a span or a task by a wrong name learns the right ones."""
    run = TaskRun(Idle(1, "small", "dev"), "success", None, (), {})
    with pytest.raises(LookupError, match=r"the task made no span 'divide'; it made none$"):
        run.span("divide")
    summary = RunSummary("small", "dev", 1, Path("run"), 0.0, (TaskSummary("Idle", "success"),))
    with pytest.raises(LookupError, match=r"workflow 'small' has no task 'idle'; it has Idle$"):
        summary.task("idle")
