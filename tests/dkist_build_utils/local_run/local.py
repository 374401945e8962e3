"""A small instrument whose tasks keep a tally, and the command that runs it, as a user starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TASKS = """
import os, signal, subprocess, sys, time
from dkist_task import TaskBase

def wait_for_file(name):
    # Of the test, which may be late on a busy machine.
    end = time.monotonic() + 60
    while not os.path.exists(name) and time.monotonic() < end:
        time.sleep(0.02)

def tally(word):
    with open(os.environ["TALLY"], "a") as file:
        file.write(word + "\\n")

class Tallied(TaskBase):
    seconds = 0.0
    def run(self):
        tally(f"begin {self.task_name} {os.environ['DKIST_TRY_NUMBER']}")
        self.work()
        tally(f"end {self.task_name}")
    def work(self):
        time.sleep(self.seconds)

class Parse(Tallied): ...
class Left(Tallied): ...
class Right(Tallied): ...
class Join(Tallied): ...
"""

FLOW = """
from dkist_workflow import Workflow
from small.tasks import *

main = Workflow("small", "main", __package__, "1.0.0")
main.add_node(Parse)
main.add_node(Left, upstreams=Parse)
main.add_node(Right, upstreams=Parse)
main.add_node(Join, upstreams=[Left, Right])
"""


@dataclass(frozen=True)
class Local:
    """A package ``small`` in a folder, and what is run of it."""

    folder: Path
    """Where the package and everything that a run leaves lies."""

    @property
    def run_folder(self) -> Path:
        """The run folder."""
        return self.folder / "run"

    @property
    def tally(self) -> list[str]:
        """What the tasks wrote."""
        path = self.folder / "tally"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def environ(self) -> dict[str, str]:
        """The variables of the command."""
        return os.environ | {"PYTHONPATH": str(self.folder / "site"), "TALLY": str(self.folder / "tally")}

    def write(self, tasks: str = "", flow: str = FLOW) -> None:
        """Write the package; `tasks` is added to the common ones."""
        package = self.folder / "site" / "small"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / "tasks.py").write_text(TASKS + tasks)
        (package / "flow.py").write_text(flow)

    def command(self, *options: str) -> list[str]:
        """Return the command line."""
        program = [sys.executable, "-W", "error", "-m", "dkist_build_utils", "run", "small"]
        return [*program, "--recipe-run-id", "7", "--folder", str(self.run_folder), *options]

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return subprocess.run(
            self.command(*options), env=self.environ, cwd=self.folder, capture_output=True, text=True, check=False
        )

    def start(self, *options: str, **settings: Any) -> subprocess.Popen[str]:
        """Start the command."""
        return subprocess.Popen(self.command(*options), env=self.environ, cwd=self.folder, text=True, **settings)

    def summary(self, *options: str) -> dict[str, Any]:
        """Run the command and return what it says as JSON."""
        done = self.run("--json", *options)
        assert done.stdout, done.stderr
        summary: dict[str, Any] = json.loads(done.stdout)
        return summary

    def states(self, *options: str) -> dict[str, str]:
        """Run the command and return what became of each task."""
        return {task["name"]: task["state"] for task in self.summary(*options)["tasks"]}

    def plan(self, *options: str) -> dict[str, str]:
        """Return what a dry run says of each task."""
        done = self.run("--dry-run", "--json", *options)
        assert done.returncode == 0, done.stderr
        return {step["task"]: f"{step['action']}: {step['reason']}" for step in json.loads(done.stdout)["tasks"]}

    def plan_names(self, action: str) -> list[str]:
        """Return the tasks of which a dry run says `action`."""
        return [name for name, what in self.plan().items() if what.startswith(action)]

    def wait_for(self, word: str, seconds: float = 60) -> None:
        """Wait until a task has written a line."""
        until(lambda: word in self.tally, seconds)

    def processes(self) -> list[int]:
        """Return every process that has the tally among its variables: tasks and what they started."""
        found = []
        mark = f"TALLY={self.folder / 'tally'}".encode()
        for entry in os.scandir("/proc"):
            with suppress(OSError):
                if entry.name.isdecimal() and mark in Path(entry.path, "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found


def until(condition: Any, seconds: float = 60) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)
