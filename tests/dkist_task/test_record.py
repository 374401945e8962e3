"""The record of an attempt, as real tasks leave it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from dkist_task.record import Record, description_of, installed_distributions, path_of_file_uri
from tests.dkist_task.conftest import Launcher

TASKS = """
import multiprocessing, signal
from pathlib import Path
from dkist_task import TaskSkipped

class Task(TaskBase):
    def run(self):
        Path("in.fits").write_bytes(b"raw")
        self.used("in.fits")
        self.used("s3://me:secret@bucket/key with space")
        Path("out put.fits").write_bytes(b"image")
        self.generated(Path("out put.fits"), sha256=True)
        self.generated("nowhere.fits", sha256=True)
        self.used(Path.cwd())
class Fails(TaskBase):
    def run(self): self.used("/dev/null", sha256=True); raise ValueError("no image")
class Skips(TaskBase):
    def run(self): raise TaskSkipped("nothing to do")
class Killed(TaskBase):
    def run(self): self.used("in.fits"); os.kill(os.getpid(), signal.SIGKILL)
class Terminated(TaskBase):
    def run(self): os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)
class Wrong(TaskBase):
    def run(self):
        for value in (3, None, "", "a\\0b"):
            try:
                self.used(value)
            except (TypeError, ValueError) as error:
                print("REFUSED", type(error).__name__)
def declare(start):
    task = Parent(1, "w", "1")
    for number in range(50): task.generated(f"/data/{start}-{number}")
class Parent(TaskBase):
    def run(self):
        for method in ("fork", "spawn"):
            context = multiprocessing.get_context(method)
            children = [context.Process(target=declare, args=(f"{method}{number}",)) for number in range(3)]
            for child in children: child.start()
            for child in children: child.join()
"""


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of the one record in a folder."""
    (path,) = folder.glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_record_says_what_ran_what_was_declared_and_how_it_ended(launch: Launcher, tmp_path: Path) -> None:
    """The first line names the task, its run and its environment; declarations follow in order; the end has the use."""
    folder = tmp_path / "records"
    ended = launch(
        TASKS,
        DKIST_RECORD_FOLDER=str(folder),
        DKIST_TRY_NUMBER="2",
        DKIST_PARAMETERS='{"threshold": 0.5}',
        DKIST_LOCK="/dags/vbi_1.2.0/requirements.txt",
        DKIST_LOCK_SHA256="ab" * 32,
    )
    assert ended.status == 0, ended.log
    start, *declared, end = lines_of(folder)
    assert (
        start
        | {
            "record": 1,
            "action": "run",
            "task": "Task",
            "entry_point": "tasks:Task",
            "workflow": "vbi_l0_to_l1",
            "workflow_version": "1.2.0",
            "recipe_run_id": 7,
            "try_number": 2,
            "parameters": {"threshold": 0.5},
            "lock": "/dags/vbi_1.2.0/requirements.txt",
            "lock_sha256": "ab" * 32,
            "host": os.uname().nodename,
        }
        == start
    )
    assert {"dkist-task", "opentelemetry-api"} <= start["distributions"].keys()
    assert [(line["declared"], line["uri"].rpartition("/")[2], line["kind"]) for line in declared] == [
        ("used", "in.fits", "file"),
        ("used", "key%20with%20space", "uri"),
        ("generated", "out%20put.fits", "file"),
        ("generated", "nowhere.fits", "missing"),
        ("used", tmp_path.name, "folder"),
    ]
    assert "secret" not in json.dumps(declared)
    assert declared[0]["size"] == 3
    assert "sha256" not in declared[0]
    assert declared[2]["sha256"] == hashlib.sha256(b"image").hexdigest()
    assert end["result"] == "success"
    assert end["peak_memory_bytes"] > 1e6
    assert end["cpu_seconds"] > 0
    assert start["started"] <= declared[0]["time"] <= end["ended"]


@pytest.mark.parametrize(
    ("task", "result", "reason"),
    [
        ("Fails", "failure", "ValueError: no image"),
        ("Skips", "skip", "nothing to do"),
        ("Terminated", "cancellation", "SIGTERM"),
        ("Missing", "error", "no class 'Missing' in module 'tasks'"),
    ],
)
def test_record_has_the_end_of_a_task_that_did_not_succeed(
    launch: Launcher, tmp_path: Path, task: str, result: str, reason: str
) -> None:
    """A failure, a skip, a stop and an unusable request are in the last line, without the traceback."""
    launch(TASKS, task, DKIST_RECORD_FOLDER=str(tmp_path / "records"))
    end = lines_of(tmp_path / "records")[-1]
    assert end["result"] == result
    assert end["reason"].startswith(reason)
    assert "traceback" not in end


def test_record_of_a_killed_task_keeps_every_declaration(launch: Launcher, tmp_path: Path) -> None:
    """SIGKILL takes the last line and nothing else."""
    ended = launch(TASKS, "Killed", DKIST_RECORD_FOLDER=str(tmp_path / "records"))
    assert ended.status == -signal.SIGKILL
    start, declared = lines_of(tmp_path / "records")
    assert (start["task"], declared["declared"]) == ("Killed", "used")


def test_children_declare_into_the_record_of_their_task(launch: Launcher, tmp_path: Path) -> None:
    """Lines of forked and spawned processes are all there and none is mixed with another."""
    ended = launch(TASKS, "Parent", DKIST_RECORD_FOLDER=str(tmp_path / "records"))
    assert ended.status == 0, ended.log
    _, *declared, _ = lines_of(tmp_path / "records")
    assert len({line["uri"] for line in declared}) == 300


def test_rollback_is_recorded_as_such(launch: Launcher, tmp_path: Path) -> None:
    """A rollback is an attempt of its own."""
    launch(TASKS, "Task", "rollback", DKIST_RECORD_FOLDER=str(tmp_path / "records"))
    start, end = lines_of(tmp_path / "records")
    assert (start["action"], end["action"]) == ("rollback", "rollback")


@pytest.mark.parametrize("folder", ["", "/proc/nowhere"])
def test_task_does_not_depend_on_its_record(launch: Launcher, folder: str) -> None:
    """Without a folder nothing is written; a folder that cannot be written to is one warning."""
    ended = launch(TASKS, DKIST_RECORD_FOLDER=folder)
    assert ended.status == 0
    assert ended.log.count("run record") == bool(folder)


def test_wrong_argument_is_refused_whether_a_record_is_kept_or_not(launch: Launcher, tmp_path: Path) -> None:
    """A number, None, nothing and a NUL name no file."""
    for folder in ("", str(tmp_path / "records")):
        ended = launch(TASKS, "Wrong", DKIST_RECORD_FOLDER=folder)
        assert ended.output.count("REFUSED TypeError") == 2
        assert ended.output.count("REFUSED ValueError") == 2


def test_line_that_had_no_room_does_not_spoil_the_next(tmp_path: Path) -> None:
    """After a torn line the next one begins on a line of its own."""
    path = tmp_path / "record.jsonl"
    record = Record(str(path))
    write = os.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", lambda file, line: write(file, line[:5]))
        record.append({"first": 1})
    record.append({"second": 2})
    assert path.read_text() == '{"fir\n{"second": 2}\n'


def test_any_bytes_of_a_name_make_a_uri(tmp_path: Path) -> None:
    """A name that is not UTF-8, and one with a newline, are coded and found again."""
    for name in (b"caf\xe9 \n#?%41.fits", "größe.fits".encode()):
        path = str(tmp_path / os.fsdecode(name))
        Path(path).write_bytes(b"x")
        known = description_of(path, sha256=False)
        assert known["kind"] == "file"
        assert str(known["uri"]).isascii()
        assert path_of_file_uri(str(known["uri"])) == path
        assert description_of(str(known["uri"]), sha256=False) == known


def test_installed_distributions_are_those_of_the_environment() -> None:
    """Names are normalised, and versions are those that `importlib.metadata` finds."""
    from importlib.metadata import version

    found = installed_distributions()
    assert found["pytest"] == version("pytest")
    assert found["dkist-task"] == version("dkist-task")
