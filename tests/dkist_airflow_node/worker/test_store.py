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

from dkist_airflow_node.commands import main
from dkist_airflow_node.worker import runner_modules
from tests.dkist_airflow_node.worker.runner_host import RunnerHost
from tests.dkist_airflow_node.worker.worker import PYTHON, is_running, make_wheel, wait_for

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
    code = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    code += "; os.mkdir('is deaf'); time.sleep(300)"
    child = subprocess.Popen([sys.executable, "-c", code], **options)
    while not Path("is deaf").exists():
        time.sleep(0.02)
    Path("child").write_text(str(child.pid))
"""

DAY = 86_400


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunnerHost:
    """Return a worker, on which the commands of this process work too."""
    worker = RunnerHost(tmp_path)
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


def make_environment(
    worker: RunnerHost, number: int, *, days: float, size: int = 10_000, complete: bool = True
) -> Path:
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


def write_dag_file(worker: RunnerHost, name: str, environments: list[dict[str, str]]) -> None:
    """Write what an exported DAG file holds, around nothing that this test could run."""
    tasks = tuple({"task_id": f"task{number}", "environment": row} for number, row in enumerate(environments))
    text = f"import airflow_is_not_here\n\nWORKFLOW = {{'python': {PYTHON!r}}}\n\nTASKS = {tasks!r}\n"
    text += f"\nRUNNER = {runner_modules()!r}\n\ndag = make_dag(WORKFLOW, TASKS, RUNNER)\n"
    (worker.lock.parent / name).write_text(text, encoding="utf-8")


def lock_variables(worker: RunnerHost) -> dict[str, str]:
    """Return what a DAG says of its lock."""
    return {
        "DKIST_LOCK": "{{ dag.folder }}/requirements.txt",
        "DKIST_LOCK_SHA256": worker.variables()["DKIST_LOCK_SHA256"],
    }


def test_an_empty_store_lists_nothing(worker: RunnerHost, capsys: pytest.CaptureFixture[str]) -> None:
    """A store that was never used is no error."""
    assert listed(capsys) == []
    assert main(["environments", "list"]) == 0
    assert f"0 environments, 0 B, in {worker.store}" in capsys.readouterr().out


def test_list_tells_size_use_and_users(worker: RunnerHost, capsys: pytest.CaptureFixture[str]) -> None:
    """An environment in use names the process, its task and its recipe run."""
    with worker.started("waits"):
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


def test_prune_by_age_takes_what_was_not_used(worker: RunnerHost, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_prune_by_size_takes_the_longest_unused_first(worker: RunnerHost) -> None:
    """It stops as soon as the rest fits."""
    folders = [make_environment(worker, number, days=number, size=1_000_000) for number in range(1, 5)]
    assert main(["environments", "prune", "--max-size", "2.2MB"]) == 0
    assert [folder.exists() for folder in folders] == [True, True, False, False]


def test_prune_without_limits_takes_only_what_builds_left(worker: RunnerHost) -> None:
    """A build that was killed leaves a folder that no task uses."""
    left, whole = make_environment(worker, 1, days=0, complete=False), make_environment(worker, 2, days=4000)
    assert main(["environments", "prune"]) == 0
    assert (left.exists(), whole.exists()) == (False, True)


def test_prune_leaves_a_running_task_and_a_child_that_it_left_behind(
    worker: RunnerHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither age nor size takes an environment from a process, though subprocess has closed the lock."""
    with worker.started("waits") as process:
        wait_for((worker.work / "started").exists, "the task's start")
        assert main(["environments", "prune", "--max-size", "0", "--keep-days", "0"]) == 0
        assert "is in use" in capsys.readouterr().err
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    with worker.started("leaves_a_child") as process:
        assert b'"success"' in process.stderr.read()  # the runner goes on: it ends the child, which does not listen
        child = int((worker.work / "child").read_text(encoding="utf-8"))
        assert main(["environments", "prune", "--max-size", "0", "--keep-days", "0"]) == 0
        assert len(worker.environments()) == 1
        assert str(child) in json.dumps(listed(capsys))
        os.kill(child, signal.SIGKILL)
        wait_for(lambda: not is_running(child), "the child's end")
        assert process.wait(60) == 0
    assert main(["environments", "prune", "--max-size", "0"]) == 0
    assert worker.environments() == []


def test_prune_and_tasks_that_start_do_not_hurt_each_other(worker: RunnerHost) -> None:
    """However the two interleave, every task runs in a whole environment."""
    prune = [sys.executable, "-m", "dkist_airflow_node", "environments", "prune", "--max-size", "0"]
    spared = {**os.environ, "DKIST_ENVIRONMENT_STORE": f"{worker.store}/"}  # the end of a run kills its own by name
    for _ in range(3):
        with subprocess.Popen(prune, stderr=subprocess.DEVNULL, env=spared) as pruning:
            results = [worker.result_of() for _ in range(3)]
        assert pruning.returncode == 0
        assert [result.status for result in results] == [0] * 3, results


def test_prebuild_builds_what_the_dag_files_need_with_their_own_runner(
    worker: RunnerHost, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each environment once, with progress; the tasks then start without a build, on a host without Airflow."""
    no_lock = {"DKIST_REQUIREMENT": "instrument==1.0.0"}
    write_dag_file(worker, "one_1.0.0.py", [lock_variables(worker), lock_variables(worker)])
    write_dag_file(worker, "two_1.0.0.py", [lock_variables(worker), no_lock])
    (worker.lock.parent / "other.py").write_text("print('not ours')\n", encoding="utf-8")
    assert main(["environments", "prebuild", str(worker.lock.parent)]) == 0
    printed = capfd.readouterr().err
    assert f"[1/2] {worker.lock}, Python {PYTHON}" in printed
    assert "[2/2] ready after" in printed
    assert printed.count("building") == 2
    assert "building" not in worker.result_of().messages
    assert main(["environments", "prebuild", str(worker.lock.parent)]) == 0
    assert "building" not in capfd.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_prebuild_as_another_user_says_so(worker: RunnerHost, capfd: pytest.CaptureFixture[str]) -> None:
    """A store belongs to one user: the message says who must build."""
    write_dag_file(worker, "a.py", [lock_variables(worker)])
    worker.store.mkdir()
    os.chown(worker.store, 65534, -1)
    assert main(["environments", "prebuild", str(worker.lock.parent)]) == 1
    printed = capfd.readouterr().err
    assert f"{worker.store} belongs to the user nobody, but this is root" in printed
    assert "run it as the user that runs the tasks" in printed


def test_prebuild_goes_on_after_a_failure_and_fails(worker: RunnerHost, capfd: pytest.CaptureFixture[str]) -> None:
    """One environment that cannot be built does not keep the others waiting."""
    write_dag_file(worker, "a.py", [{"DKIST_REQUIREMENT": "missing==1.0.0"}, lock_variables(worker)])
    assert main(["environments", "prebuild", str(worker.lock.parent)]) == 1
    assert "1 of 2 environments could not be built" in capfd.readouterr().err
    assert len(worker.environments()) == 1


def test_prebuild_refuses_a_folder_without_dag_files(worker: RunnerHost, capsys: pytest.CaptureFixture[str]) -> None:
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
    """The commands find the store as the runner does."""
    monkeypatch.setenv("DKIST_ENVIRONMENT_STORE", "store")
    assert main(["environments", command]) == 1
    assert "the environment store store is not an absolute path" in capsys.readouterr().err


def test_a_task_of_another_lock_is_not_in_the_way(worker: RunnerHost) -> None:
    """What one release uses says nothing about another."""
    assert worker.result_of().status == 0
    make_wheel(worker.wheels, "instrument", "2.0.0", {"instrument.py": TASKS}, requires=("dkist-task",))
    worker.make_lock("instrument==2.0.0\ndkist-task[otlp]\n")
    with worker.started("waits"):
        wait_for((worker.work / "started").exists, "the task's start")
        assert main(["environments", "prune", "--max-size", "0"]) == 0
        assert len(worker.environments()) == 1
