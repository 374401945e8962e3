"""The script as a builder: one build for many tasks, verified, and nothing of a build that did not end well."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from dkist_airflow_node import task_script
from tests.dkist_airflow_node.worker.worker import PYTHON, Worker, make_wheel, package_index, wait_for

TASKS = """
import sys

def run():
    print("the task runs in", sys.prefix)
"""


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """Return a worker for a release of one task."""
    worker = Worker(tmp_path)
    worker.release(TASKS)
    return worker


def run_at_once(worker: Worker, variables: dict[str, str], *, times: int) -> list[tuple[int, str]]:
    """Start the script several times and return each one's status and output."""
    with ExitStack() as stack:
        processes = [stack.enter_context(worker.start(variables)) for _ in range(times)]
        outputs = [process.communicate(timeout=120)[0] for process in processes]
        return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]


def test_sixteen_cold_starts_at_once_make_one_build(worker: Worker) -> None:
    """One builds, the others wait for it, and all of them run."""
    results = run_at_once(worker, worker.variables(), times=16)
    assert [status for status, _ in results] == [0] * 16, results
    assert sum("dkist: building" in output for _, output in results) == 1
    assert all("the task runs in" in output for _, output in results)
    assert len(worker.environments()) == 1


def test_a_build_that_fails_fails_those_that_waited_for_it(worker: Worker) -> None:
    """Sixteen tasks whose index is down end together, not one retry period after the other."""
    with package_index(worker.wheels, hangs=True) as url:
        down = worker.variables(
            UV_FIND_LINKS=None, UV_OFFLINE=None, UV_DEFAULT_INDEX=url, UV_HTTP_TIMEOUT="3", UV_HTTP_RETRIES="0"
        )
        begin = time.monotonic()
        results = run_at_once(worker, down, times=16)
        assert time.monotonic() - begin < 15
    assert [status for status, _ in results] == [1] * 16
    assert sum("dkist: building" in output for _, output in results) < 3, "a second one may have come too late to wait"
    assert any("that this task waited for failed" in output for _, output in results)
    assert worker.environments() == []


def test_a_refusing_index_fails_the_task_in_the_installers_words(worker: Worker) -> None:
    """The message names the index, and what to look at."""
    result = worker.run(
        worker.variables(
            UV_FIND_LINKS=None, UV_OFFLINE=None, UV_HTTP_RETRIES="0", UV_DEFAULT_INDEX="http://127.0.0.1:9/"
        )
    )
    assert result.returncode == 1
    assert "http://127.0.0.1:9/" in result.stdout
    assert f"could not build the environment of {worker.lock}" in result.stdout
    assert "the task runs" not in result.stdout
    assert worker.environments() == []


def test_a_wheel_whose_bytes_differ_from_the_lock_is_refused(worker: Worker) -> None:
    """A tampered file of the same name and version fails the task, which says which file."""
    make_wheel(worker.wheels, "instrument", "1.0.0", {"instrument.py": TASKS + "# tampered\n"})
    result = worker.run()
    assert result.returncode == 1
    assert re.search(r"Hash mismatch for `instrument==1.0.0`", result.stdout), result.stdout
    assert worker.environments() == []


def test_a_lock_exchanged_after_its_check_is_refused(worker: Worker) -> None:
    """What is installed is the file that was verified: a lock that changes in between fails the build."""
    tools = worker.tools(cp='#!/usr/bin/bash\n/usr/bin/cp "$@" && echo "# other" >>"${@: -1}"\n')
    result = worker.run(worker.variables(PATH=f"{tools}:{Path(sys.base_prefix) / 'bin'}"))
    assert result.returncode == 1
    assert "could not build" in result.stdout
    assert worker.environments() == []


def test_a_source_distribution_is_never_built(worker: Worker) -> None:
    """Wheels only: building would run code that no lock describes."""
    (worker.wheels / "instrument-1.0.0-py3-none-any.whl").unlink()
    (worker.wheels / "instrument-1.0.0.tar.gz").write_bytes(b"")
    result = worker.run()
    assert result.returncode == 1
    assert "instrument" in result.stdout
    assert worker.environments() == []


def test_a_lock_without_dkist_task_is_refused(worker: Worker) -> None:
    """An environment that could not start its task is not kept."""
    make_wheel(worker.wheels, "alone", "1.0.0", {"alone.py": ""})
    worker.make_lock("alone==1.0.0\n")
    result = worker.run()
    assert result.returncode == 1
    assert "No module named 'dkist_task'" in result.stdout
    assert worker.environments() == []


def test_packages_in_conflict_live_side_by_side(worker: Worker) -> None:
    """Two releases that need different versions of a dependency have an environment each."""
    source = "import dependency\ndef run():\n    print('VERSION', dependency.__doc__)\n"
    for version in ("1.1", "2.0"):
        make_wheel(worker.wheels, "dependency", version, {"dependency.py": f"'{version}'"})
    outputs = []
    for version in ("1.1", "2.0"):
        requires = ("dkist-task", f"dependency=={version}")
        make_wheel(worker.wheels, "instrument", version, {"instrument.py": source}, requires=requires)
        worker.make_lock(f"instrument=={version}\ndkist-task[otlp]\n")
        outputs.append(worker.run().stdout)
    assert ["VERSION 1.1" in outputs[0], "VERSION 2.0" in outputs[1]] == [True, True]
    assert len(worker.environments()) == 2


def test_an_edit_in_one_environment_stays_there(worker: Worker) -> None:
    """Files are copies: what happens to one environment does not reach the next one built from the same cache."""
    assert worker.run().returncode == 0
    (environment,) = worker.environments()
    (module,) = environment.glob("lib/python*/site-packages/instrument.py")
    module.write_text("raise SystemExit('edited')\n", encoding="utf-8")
    shutil.rmtree(environment)
    assert worker.run().returncode == 0


def test_a_build_killed_at_any_moment_leaves_nothing_that_is_used(worker: Worker) -> None:
    """Whatever instant a build and its supervisors are killed at, the next task has a whole environment."""
    moments = random.Random(4)  # no secret: the same moments every time
    began = 0
    for _ in range(12):
        shutil.rmtree(worker.store, ignore_errors=True)
        with worker.start(worker.variables()):
            time.sleep(moments.uniform(0.02, 0.8))
            worker.end_all()
        began += bool(worker.environments())
        result = worker.run()
        assert result.returncode == 0, result.stdout
        (environment,) = worker.environments()
        assert (environment / ".complete").exists()
    assert began > 3, "most of the moments lie in the build"


def test_a_builder_that_is_killed_is_followed_by_one_that_waits(worker: Worker) -> None:
    """Nobody fails for the death of another task: one of those that wait builds instead."""
    with package_index(worker.wheels, hangs=True) as url:
        hanging = worker.variables(UV_FIND_LINKS=None, UV_OFFLINE=None, UV_DEFAULT_INDEX=url)
        with worker.start(hanging) as builder:
            assert builder.stdout is not None
            assert "dkist: building" in builder.stdout.readline()
            with worker.start(worker.variables()) as waiting:
                assert waiting.stdout is not None
                assert re.search(r"waiting for .*, held by process \d+ on ", waiting.stdout.readline())
                os.killpg(builder.pid, signal.SIGTERM)
                output, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, output
    assert "the task runs" in output


def test_waiting_for_a_build_is_bounded_and_names_the_holder(worker: Worker) -> None:
    """A build that hangs does not hold other tasks for ever."""
    impatient = task_script().replace("limit=1800", "limit=2")
    assert impatient != task_script()
    with package_index(worker.wheels, hangs=True) as url:
        hanging = worker.variables(UV_FIND_LINKS=None, UV_OFFLINE=None, UV_DEFAULT_INDEX=url)
        with worker.start(hanging) as builder:
            assert builder.stdout is not None
            assert "dkist: building" in builder.stdout.readline()
            with worker.start(worker.variables(), impatient) as waiting:
                output, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 1
    assert re.search(r"gave up after 2 s: .* is still held by process \d+ on ", output.splitlines()[-1])


def test_an_environment_whose_interpreter_moved_is_built_again(worker: Worker) -> None:
    """The old environment counts for nothing once its interpreter is gone."""
    library = f"lib/python{PYTHON}"
    for name in ("first", "second"):
        home = worker.folder / name
        (home / "bin").mkdir(parents=True)
        (home / "lib").mkdir()
        shutil.copy(Path(sys.base_prefix) / "bin" / f"python{PYTHON}", home / "bin" / f"python{PYTHON}")
        (home / library).symlink_to(Path(sys.base_prefix) / library)

    def run(name: str) -> str:
        path = f"{worker.folder / name / 'bin'}:{worker.tools()}"
        result = worker.run(worker.variables(PATH=path))
        assert result.returncode == 0, result.stdout
        return result.stdout

    assert "dkist: building" in run("first")
    assert "dkist: building" not in run("first")
    shutil.rmtree(worker.folder / "first")
    assert "dkist: building" in run("second")
    (environment,) = worker.environments()
    assert str(worker.folder / "second") in (environment / "pyvenv.cfg").read_text(encoding="utf-8")


def test_a_full_disk_is_said_and_leaves_nothing(worker: Worker) -> None:
    """Where the store's file system is full, the task fails in the installer's words."""
    worker.store.mkdir()
    mount = f'mount -t tmpfs -o size=256k none "{worker.store}" && exec bash -c "$0"'
    make_wheel(worker.wheels, "big", "1.0.0", {"big.py": "#" * 1_000_000})
    worker.make_lock("instrument==1.0.0\ndkist-task\nbig\n")
    result = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "bash", "-c", mount, task_script()],
        env=worker.variables(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "could not build the environment" in result.stderr


def test_a_limit_on_file_sizes_fails_the_build(worker: Worker) -> None:
    """A build that the host cuts short is no environment."""
    make_wheel(worker.wheels, "big", "1.0.0", {"big.py": "#" * 1_000_000})
    worker.make_lock("instrument==1.0.0\ndkist-task\nbig\n")
    result = subprocess.run(
        ["bash", "-c", task_script()],
        env=worker.variables(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000)),
    )
    assert result.returncode == 1
    assert "could not build the environment" in result.stderr
    assert worker.environments() == []


def test_a_store_on_a_network_file_system_is_refused(worker: Worker) -> None:
    """Locks do not hold there; the file system's name is as `stat` gives it."""
    tools = worker.tools(stat="#!/usr/bin/bash\necho nfs\n")
    result = worker.run(worker.variables(PATH=f"{tools}:{Path(sys.base_prefix) / 'bin'}"))
    assert result.returncode == 1
    assert "is on a network file system (nfs)" in result.stdout
    assert worker.environments() == []


def test_the_lock_file_tells_the_last_use(worker: Worker) -> None:
    """Each start of a task sets the time of the file beside the environment; its inode stays."""
    assert worker.run().returncode == 0
    (lock,) = worker.store.glob("*.lock")
    first = lock.stat().st_ino
    os.utime(lock, (1_000_000_000, 1_000_000_000))
    assert worker.run().returncode == 0
    assert abs(lock.stat().st_mtime - time.time()) < 60
    assert lock.stat().st_ino == first
    wait_for(lambda: not worker.pids(), "the end of all processes")
