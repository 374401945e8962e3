"""The script as a supervisor: whatever ends a task ends all of it, and a task that listens may unwind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dkist_airflow_node import task_script
from tests.dkist_airflow_node.worker.worker import Worker, is_running, package_index, wait_for

TASKS = """
import os, signal, subprocess, sys, time
from pathlib import Path

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(300)"

def child(code, **options):
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, **options)
    process.stdout.readline()
    return process

def write(name, text):
    Path(name + ".new").write_text(text)
    os.rename(name + ".new", name)

def deaf():
    # A child in the task's group, one in a session of its own, and one whose environment is not the task's.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    children = [child(DEAF), child(DEAF, start_new_session=True), child(DEAF, env={})]
    write("pids", " ".join(str(process.pid) for process in children) + f" {os.getpid()}")
    time.sleep(300)

def polite():
    # Unwinds; its children do not listen.
    def stop(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as the launcher does
        raise SystemExit(1)
    signal.signal(signal.SIGTERM, stop)
    children = [child(DEAF), child(DEAF, start_new_session=True)]
    try:
        write("pids", " ".join(str(process.pid) for process in children) + f" {os.getpid()}")
        time.sleep(300)
    finally:
        time.sleep(1)
        print("unwinding", flush=True)
        write("unwound", "yes")

def dies():
    write("pids", str(child(DEAF, start_new_session=True).pid))
    os.kill(os.getpid(), signal.SIGKILL)

def leaves_a_child():
    process = child("import time; print(flush=True); time.sleep(300)", stderr=subprocess.DEVNULL)
    write("pids", str(process.pid))

def sleeps():
    time.sleep(300)

def shows_signals():
    print("HANDLERS", signal.getsignal(signal.SIGINT) is signal.default_int_handler,
          signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, signal.getsignal(signal.SIGQUIT) is signal.SIG_DFL)
    print("INPUT", repr(sys.stdin.read()))
"""

PARENT = """
import subprocess, sys
process = subprocess.Popen(["bash", "-c", sys.argv[1]], start_new_session=True)
print(process.pid, flush=True)
process.wait()
"""
"""Stands for the process in which Airflow runs a task."""


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """Return a worker whose environment is built."""
    worker = Worker(tmp_path)
    worker.release(TASKS)
    return worker


def pids_of(worker: Worker) -> list[int]:
    """Return the processes that the running task has told of."""
    file = worker.work / "pids"
    wait_for(file.exists, "the task's start")
    return [int(pid) for pid in file.read_text(encoding="utf-8").split()]


@contextmanager
def parent_of_a_task(worker: Worker, variables: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the script under a parent that can be killed; give the parent and the script's process id."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, task_script()],
        env=variables,
        cwd=worker.work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        try:
            yield parent, int(parent.stdout.readline())
        finally:
            worker.end_all()


def assert_all_gone_in_time(worker: Worker, pids: list[int], begin: float, *, at_least: float = 0) -> None:
    """Check that the processes, and all that the script started, end 10 s after `begin`, more or less."""
    wait_for(lambda: not any(map(is_running, pids)), f"the end of {pids}", seconds=14)
    assert at_least <= time.monotonic() - begin < 14
    wait_for(lambda: not worker.pids(), "the end of the supervisors", seconds=8)


@pytest.mark.parametrize("whole_group", [True, False])
def test_a_deaf_task_and_its_children_are_killed_after_ten_seconds(worker: Worker, whole_group: bool) -> None:
    """SIGTERM, sent as Airflow does or to the script alone, is followed by SIGKILL for all that the task started."""
    with worker.start(worker.variables("instrument:deaf")) as process:
        pids = pids_of(worker)
        begin = time.monotonic()
        if whole_group:
            os.killpg(process.pid, signal.SIGTERM)
        else:
            process.terminate()
        assert_all_gone_in_time(worker, pids, begin, at_least=9)
        assert process.wait(5) == -signal.SIGTERM


def test_a_polite_task_unwinds_and_its_deaf_children_are_killed(worker: Worker) -> None:
    """The task has the time it needs, and what it leaves behind does not outlive it for long."""
    with worker.start(worker.variables("instrument:polite")) as process:
        pids = pids_of(worker)
        begin = time.monotonic()
        os.killpg(process.pid, signal.SIGTERM)
        assert_all_gone_in_time(worker, pids, begin)
        assert process.communicate()[0].count("unwinding") == 1
    assert (worker.work / "unwound").exists()


@pytest.mark.parametrize("task", ["deaf", "polite"])
@pytest.mark.parametrize("without", [(), ("setpriv",)])
def test_a_task_does_not_outlive_the_process_that_asked_for_it(
    worker: Worker, task: str, without: tuple[str, ...]
) -> None:
    """Airflow's process killed with -9 ends the task as SIGTERM does, also on a host without setpriv."""
    variables = worker.variables(f"instrument:{task}")
    if without:
        variables["PATH"] = f"{worker.tools(*without)}:{Path(sys.base_prefix) / 'bin'}"
    with parent_of_a_task(worker, variables) as (parent, _):
        pids = pids_of(worker)
        begin = time.monotonic()
        parent.kill()
        assert_all_gone_in_time(worker, pids, begin)
    assert (worker.work / "unwound").exists() == (task == "polite")


@pytest.mark.parametrize("task", ["deaf", "polite"])
def test_a_task_does_not_outlive_the_supervisor_of_the_process_that_asked_for_it(worker: Worker, task: str) -> None:
    """Airflow's supervisor killed with -9 leaves the task's process an orphan, which runs on: the task is ended."""
    code = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', *sys.argv[1:]]); time.sleep(300)"
    command = [sys.executable, "-c", code, PARENT, task_script()]
    variables = worker.variables(f"instrument:{task}")
    with subprocess.Popen(command, env=variables, cwd=worker.work, stdin=subprocess.DEVNULL) as supervisor:
        try:
            pids = pids_of(worker)
            begin = time.monotonic()
            supervisor.kill()
            # One second until it is noticed, and of Airflow's process until it has seen the end.
            wait_for(lambda: not any(map(is_running, pids)), f"the end of {pids}", seconds=15)
            wait_for(lambda: not worker.pids(), "the end of the supervisors", seconds=8)
            assert time.monotonic() - begin < 20
        finally:
            worker.end_all()
    assert (worker.work / "unwound").exists() == (task == "polite")


def test_a_task_does_not_outlive_its_supervisor(worker: Worker) -> None:
    """Where the script's own first process is killed with -9, the task is told, and killed 10 s later."""
    with worker.start(worker.variables("instrument:deaf")) as process:
        *_, task = pids_of(worker)
        begin = time.monotonic()
        process.kill()
        wait_for(lambda: not is_running(task), "the end of the task", seconds=14)
        assert time.monotonic() - begin >= 9


def test_a_task_unwinds_when_its_supervisor_is_killed(worker: Worker) -> None:
    """The supervisor's death reaches the task as SIGTERM, not as SIGKILL."""
    with worker.start(worker.variables("instrument:polite")) as process:
        pids_of(worker)
        process.kill()
        wait_for((worker.work / "unwound").exists, "the task's unwinding", seconds=10)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_stop_at_any_moment_of_the_start_leaves_nothing(worker: Worker, end: signal.Signals) -> None:
    """However early the script is ended, no supervisor, build or task goes on without it."""
    assert worker.run(worker.variables("instrument:shows_signals")).returncode == 0
    moments = random.Random(end)  # no secret: the same moments every time
    for _ in range(15):
        with worker.start(worker.variables("instrument:sleeps")) as process:
            time.sleep(moments.uniform(0, 0.15))
            process.send_signal(end)
            assert process.wait(14) == -end
            wait_for(lambda: not worker.pids(), "the end of all processes", seconds=14)


def test_the_second_supervisor_killed_ends_the_task(worker: Worker) -> None:
    """The process between script and task, killed with -9, leaves nothing behind."""
    with worker.start(worker.variables("instrument:polite")) as process:
        pids = pids_of(worker)
        begin = time.monotonic()
        between = int(Path(f"/proc/{pids[-1]}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        os.kill(between, signal.SIGKILL)
        assert process.wait(14) == 128 + signal.SIGKILL
        assert_all_gone_in_time(worker, pids, begin)
    assert (worker.work / "unwound").exists()


def test_the_children_of_a_task_that_was_killed_go_too(worker: Worker) -> None:
    """A task that the kernel kills for its memory leaves nothing that would disturb the retry."""
    with worker.start(worker.variables("instrument:dies")) as process:
        pids = pids_of(worker)
        begin = time.monotonic()
        assert_all_gone_in_time(worker, pids, begin)
        output, _ = process.communicate()
        assert process.returncode == 128 + signal.SIGKILL
        assert "dkist: the task died of signal 9" in output


def test_a_child_that_a_successful_task_leaves_behind_stays(worker: Worker) -> None:
    """It is the task's choice: nothing was stopped."""
    result_pids = []
    with worker.start(worker.variables("instrument:leaves_a_child")) as process:
        output, _ = process.communicate(timeout=60)
        result_pids = pids_of(worker)
        assert process.returncode == 0, output
        assert all(map(is_running, result_pids))


def test_signals_and_input_of_a_task_are_plain(worker: Worker) -> None:
    """SIGINT interrupts (notebook kernels rely on it), SIGTERM is the launcher's, and nothing waits for input."""
    result = worker.run(worker.variables("instrument:shows_signals"))
    assert "HANDLERS True True True" in result.stdout
    assert "INPUT ''" in result.stdout


@pytest.mark.parametrize("without", [(), ("setpriv",)])
def test_a_build_ends_with_the_process_that_asked_for_it(worker: Worker, without: tuple[str, ...]) -> None:
    """A worker that dies during a build: the build stops, the task is not run, and the next task builds again."""
    path = worker.variables()["PATH"]
    if without:
        path = f"{worker.tools(*without)}:{Path(sys.base_prefix) / 'bin'}"
    with package_index(worker.wheels, hangs=True) as url:
        hanging = worker.variables(
            "instrument:deaf", PATH=path, UV_FIND_LINKS=None, UV_OFFLINE=None, UV_DEFAULT_INDEX=url
        )
        with parent_of_a_task(worker, hanging) as (parent, _):
            wait_for(lambda: list(worker.store.glob("*/requirements.txt")), "the build's start")
            begin = time.monotonic()
            parent.kill()
            assert_all_gone_in_time(worker, [], begin)
    assert not (worker.work / "pids").exists()
    assert not list(worker.store.glob("*/.complete"))
    assert worker.run(worker.variables("instrument:shows_signals")).returncode == 0
