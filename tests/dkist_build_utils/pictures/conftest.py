"""Folders of spans that real tasks left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TASKS = """
import os, sys
from dkist_task import TaskBase

class Done(TaskBase):
    def run(self):
        with self.telemetry_span("<script>alert('x')</script>"):
            with self.telemetry_span("inner"): pass

class Fails(TaskBase):
    def run(self): raise ValueError("clouds & <b>rain</b>")

class Killed(TaskBase):
    def run(self):
        with self.telemetry_span("ended"): pass
        os.kill(os.getpid(), 9)
"""


def run_task(source: Path, folder: Path, task: str, run: int = 7, **environment: str) -> None:
    """Run a task of a source folder to whatever end it comes, its spans in another folder."""
    subprocess.run(
        [sys.executable, "-m", "dkist_task", "run", f"tasks:{task}", f"--recipe-run-id={run}", "--workflow-name=vbi",
         "--workflow-version=1.2.0"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(source), "DKIST_SPAN_FOLDER": str(folder), **environment},
        capture_output=True,
        check=False,
    )  # fmt: skip


@pytest.fixture
def span_folder(tmp_path: Path) -> Path:
    """Return a folder with the spans of a run: a task that is done, one that failed, one that was killed."""
    (tmp_path / "tasks.py").write_text(TASKS)
    folder = tmp_path / "spans"
    for task in ("Done", "Fails", "Killed"):
        run_task(tmp_path, folder, task)
    return folder
