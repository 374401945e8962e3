"""The environments commands: what is there, what uses it, what is built ahead, and what goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dkist_airflow_node import task_script
from dkist_airflow_node.commands import main
from tests.dkist_airflow_node.worker.worker import PYTHON, Worker, is_running, make_wheel, wait_for

TASKS = """
import os, subprocess, sys, time
from pathlib import Path

def run():
    print("the task runs in", sys.prefix)

def waits():
    Path("started").touch()
    time.sleep(300)

def leaves_a_child():
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], **options)
    Path("child").write_text(str(child.pid))
"""

DAY = 86_400


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Return a worker, on which the commands of this process work too."""
    worker = Worker(tmp_path)
    worker.release(TASKS)
    for name, value in worker.variables().items():
        monkeypatch.setenv(name, value)
    return worker


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Return what ``list --json`` prints."""
    capsys.readouterr()
    assert main(["environments", "list", "--json"]) == 0
    rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return rows


def make_environment(worker: Worker, number: int, *, days: float, size: int = 10_000, complete: bool = True) -> Path:
    """Put an environment of a certain age and size into the store."""
    folder = worker.store / f"{number:032x}-py{PYTHON}-x86_64"
    folder.mkdir(parents=True)
    (folder / "data").write_bytes(b"x" * size)
    if complete:
        (folder / ".complete").write_text("/usr/lib/os.py\nrelease\n", encoding="utf-8")
    lock = folder.with_name(f"{folder.name}.lock")
    lock.touch()
    os.utime(lock, (time.time() - days * DAY,) * 2)
    return folder


def write_dag_file(worker: Worker, name: str, environments: list[dict[str, str]]) -> None:
    """Write what an exported DAG file holds, around nothing that this test could run."""
    tasks = tuple({"task_id": f"task{number}", "environment": row} for number, row in enumerate(environments))
    text = f"import airflow_is_not_here\n\nWORKFLOW = {{'python': {PYTHON!r}}}\n\nTASKS = {tasks!r}\n"
    text += f"\nSCRIPT = r'''{task_script()}'''\n\ndag = make_dag(WORKFLOW, TASKS, SCRIPT)\n"
    (worker.lock.parent / name).write_text(text, encoding="utf-8")


def lock_variables(worker: Worker) -> dict[str, str]:
    """Return what a DAG says of its lock."""
    return {
        "DKIST_LOCK": "{{ dag.folder }}/requirements.txt",
        "DKIST_LOCK_SHA256": worker.variables()["DKIST_LOCK_SHA256"],
    }


def test_an_empty_store_lists_nothing(worker: Worker, capsys: pytest.CaptureFixture[str]) -> None:
    """A store that was never used is no error."""
    assert listed(capsys) == []
    assert main(["environments", "list"]) == 0
    assert f"0 environments, 0 B, in {worker.store}" in capsys.readouterr().out


def test_list_tells_size_use_and_users(worker: Worker, capsys: pytest.CaptureFixture[str]) -> None:
    """An environment in use names the process, its task and its recipe run."""
    with worker.start(worker.variables("instrument:waits")):
        wait_for((worker.work / "started").exists, "the task's start")
        (row,) = listed(capsys)
        assert main(["environments", "list"]) == 0
        table = capsys.readouterr().out
    assert row["is_complete"] is True
    assert row["origin"] == str(worker.lock)
    assert isinstance(row["size"], int)
    assert row["size"] > 10_000
    assert isinstance(row["last_use"], str)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(row["last_use"])).total_seconds()) < 60
    assert "of recipe run 7" in table
    assert "instrument_l0_to_l1_1.0.0 instrument:waits" in table
    assert "in use" in table
    (row,) = listed(capsys)
    assert row["processes"] == []


def test_prune_by_age_takes_what_was_not_used(worker: Worker, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what was last used before the limit goes; locks stay for ever, and so does what is not ours."""
    old, young = make_environment(worker, 1, days=40), make_environment(worker, 2, days=3)
    foreign = worker.store / "notes"
    foreign.mkdir()
    assert main(["environments", "prune", "--keep-days", "30", "--dry-run"]) == 0
    assert old.exists()
    assert "would remove" in capsys.readouterr().err
    assert main(["environments", "prune", "--keep-days", "30"]) == 0
    assert (old.exists(), young.exists(), foreign.exists()) == (False, True, True)
    assert old.with_name(f"{old.name}.lock").exists()


def test_prune_by_size_takes_the_longest_unused_first(worker: Worker) -> None:
    """It stops as soon as the rest fits."""
    folders = [make_environment(worker, number, days=number, size=1_000_000) for number in range(1, 5)]
    assert main(["environments", "prune", "--max-size", "2.2MB"]) == 0
    assert [folder.exists() for folder in folders] == [True, True, False, False]


def test_prune_without_limits_takes_only_what_builds_left(worker: Worker) -> None:
    """A build that was killed leaves a folder that no task uses."""
    left, whole = make_environment(worker, 1, days=0, complete=False), make_environment(worker, 2, days=4000)
    assert main(["environments", "prune"]) == 0
    assert (left.exists(), whole.exists()) == (False, True)


def test_prune_leaves_a_running_task_and_a_child_that_it_left_behind(
    worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither age nor size takes an environment from a process, though subprocess has closed the lock."""
    with worker.start(worker.variables("instrument:waits")) as process:
        wait_for((worker.work / "started").exists, "the task's start")
        assert main(["environments", "prune", "--max-size", "0", "--keep-days", "0"]) == 0
        assert "is in use" in capsys.readouterr().err
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(15)
    with worker.start(worker.variables("instrument:leaves_a_child")) as process:
        assert process.wait(30) == 0
        child = int((worker.work / "child").read_text(encoding="utf-8"))
        assert main(["environments", "prune", "--max-size", "0", "--keep-days", "0"]) == 0
        assert len(worker.environments()) == 1
        assert str(child) in json.dumps(listed(capsys))
        os.kill(child, signal.SIGKILL)
        wait_for(lambda: not is_running(child), "the child's end")
    assert main(["environments", "prune", "--max-size", "0"]) == 0
    assert worker.environments() == []


def test_prune_and_tasks_that_start_do_not_hurt_each_other(worker: Worker) -> None:
    """However the two interleave, every task runs in a whole environment."""
    prune = [sys.executable, "-m", "dkist_airflow_node", "environments", "prune", "--max-size", "0"]
    spared = {**os.environ, "DKIST_ENVIRONMENT_STORE": f"{worker.store}/"}  # the end of a run kills its own by name
    for _ in range(3):
        with subprocess.Popen(prune, stderr=subprocess.DEVNULL, env=spared) as pruning:
            results = [worker.run() for _ in range(3)]
        assert pruning.returncode == 0
        assert [result.returncode for result in results] == [0] * 3, [result.stdout for result in results]


def test_prebuild_builds_what_the_dag_files_need_with_their_own_script(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each environment once, with progress; the tasks then start without a build, on a host without Airflow."""
    no_lock = {"DKIST_REQUIREMENT": "instrument==1.0.0"}
    write_dag_file(worker, "one_1.0.0.py", [lock_variables(worker), lock_variables(worker)])
    write_dag_file(worker, "two_1.0.0.py", [lock_variables(worker), no_lock])
    (worker.lock.parent / "other.py").write_text("print('not ours')\n", encoding="utf-8")
    assert main(["environments", "prebuild", str(worker.lock.parent)]) == 0
    told = capfd.readouterr().err
    assert f"[1/2] {worker.lock}, Python {PYTHON}" in told
    assert "[2/2] ready after" in told
    assert told.count("dkist: building") == 2
    assert "dkist: building" not in worker.run().stdout
    assert main(["environments", "prebuild", str(worker.lock.parent)]) == 0
    assert "dkist: building" not in capfd.readouterr().err


def test_prebuild_goes_on_after_a_failure_and_fails(worker: Worker, capfd: pytest.CaptureFixture[str]) -> None:
    """One environment that cannot be built does not keep the others waiting."""
    write_dag_file(worker, "a.py", [{"DKIST_REQUIREMENT": "missing==1.0.0"}, lock_variables(worker)])
    assert main(["environments", "prebuild", str(worker.lock.parent)]) == 1
    assert "1 of 2 environments could not be built" in capfd.readouterr().err
    assert len(worker.environments()) == 1


def test_prebuild_refuses_a_folder_without_dag_files(worker: Worker, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistaken folder is said, not passed over."""
    assert main(["environments", "prebuild", str(worker.wheels)]) == 1
    assert "has no DAG file exported by dkist-airflow-node" in capsys.readouterr().err
    (worker.wheels / "broken.py").write_text("WORKFLOW = {", encoding="utf-8")
    assert main(["environments", "prebuild", str(worker.wheels)]) == 1
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["list", "prune"])
def test_a_relative_store_is_refused(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands find the store as the script does."""
    monkeypatch.setenv("DKIST_ENVIRONMENT_STORE", "store")
    assert main(["environments", command]) == 1
    assert "the environment store store is not an absolute path" in capsys.readouterr().err


def test_a_task_of_another_lock_is_not_in_the_way(worker: Worker) -> None:
    """What one release uses says nothing about another."""
    assert worker.run().returncode == 0
    make_wheel(worker.wheels, "instrument", "2.0.0", {"instrument.py": TASKS}, requires=("dkist-task",))
    worker.make_lock("instrument==2.0.0\ndkist-task[otlp]\n")
    with worker.start(worker.variables("instrument:waits")):
        wait_for((worker.work / "started").exists, "the task's start")
        assert main(["environments", "prune", "--max-size", "0"]) == 0
        assert len(worker.environments()) == 1
