"""The runner as a builder: one build for many tasks, verified, and nothing of a build that did not end well."""

from __future__ import annotations

import json
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
from typing import Any

import pytest

from dkist_airflow_node.worker.runner.cold.file_system import file_system_type
from dkist_airflow_node.worker.runner.store import LOCK_SUFFIX, MARKER
from tests.dkist_airflow_node.worker.runner_host import COMMAND, HANDOVER, Ended, RunnerHost, changed
from tests.dkist_airflow_node.worker.worker import PYTHON, make_wheel, package_index, wait_for

TASKS = """
import os, sys

def run():
    print("the task runs in", sys.prefix)

def fills_the_store():
    with open(os.environ["DKIST_ENVIRONMENT_STORE"] + "/big", "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError as error:
            print(error)

def shows_umask():
    print("UMASK", os.umask(0))
"""


@pytest.fixture
def host(tmp_path: Path) -> RunnerHost:
    """Return a host for a release of one task."""
    host = RunnerHost(tmp_path)
    host.release(TASKS)
    return host


def index_settings(url: str, **more: str) -> dict[str, Any]:
    """Return the variables that name an index of the test's own."""
    return {"UV_FIND_LINKS": None, "UV_OFFLINE": None, "UV_DEFAULT_INDEX": url, **more}


def run_at_once(host: RunnerHost, *, times: int, **changes: Any) -> list[Ended]:
    """Start the runner several times and return what each one left."""
    with ExitStack() as stack:
        processes = [stack.enter_context(host.started(**changes)) for _ in range(times)]
        return [process.end(seconds=120) for process in processes]


def test_sixteen_cold_starts_at_once_make_one_build(host: RunnerHost) -> None:
    """One builds, the others wait for it, and all of them run."""
    ended = run_at_once(host, times=16)
    assert [one.status for one in ended] == [0] * 16, ended
    assert sum("building" in one.messages for one in ended) == 1
    assert all(any("the task runs in" in line for line in one.lines) for one in ended)
    assert len(host.environments()) == 1


def test_a_build_that_fails_fails_those_that_waited_for_it(host: RunnerHost) -> None:
    """Sixteen tasks whose index is down end together, not one retry period after the other."""
    with package_index(host.wheels, hangs=True) as url:
        begin = time.monotonic()
        ended = run_at_once(host, times=16, **index_settings(url, UV_HTTP_TIMEOUT="8", UV_HTTP_RETRIES="0"))
        assert time.monotonic() - begin < 40  # one after the other they would take more than two minutes
    assert [one.status for one in ended] == [1] * 16
    assert sum("building" in one.messages for one in ended) < 3, "a second one may have come too late to wait"
    assert any("that this task waited for failed" in one.result["reason"] for one in ended)
    assert all(one.result["can_retry"] for one in ended)
    assert host.environments() == []


def test_a_refusing_index_fails_the_task_in_the_installers_words(host: RunnerHost) -> None:
    """Log and reason name the index, and what to look at."""
    ended = host.result_of(**index_settings("http://127.0.0.1:9/", UV_HTTP_RETRIES="0"))
    assert ended.status == 1
    assert "http://127.0.0.1:9/" in "\n".join(ended.lines)
    assert "http://127.0.0.1:9/" in ended.result["reason"]
    assert f"could not build the environment of {host.lock}" in ended.result["reason"]
    assert ended.result["result"] == "error"
    assert host.environments() == []


def test_an_index_that_is_switched_off_is_not_asked(host: RunnerHost) -> None:
    """UV_NO_INDEX reaches the build."""
    with package_index(host.wheels) as url:
        ended = host.result_of(**index_settings(url, UV_NO_INDEX="1"))
    assert ended.status == 1
    assert "index" in ended.result["reason"]


def test_a_wheel_whose_bytes_differ_from_the_lock_is_refused(host: RunnerHost) -> None:
    """A tampered file of the same name and version fails the task, which says which file."""
    make_wheel(host.wheels, "instrument", "1.0.0", {"instrument.py": TASKS + "# tampered\n"})
    ended = host.result_of()
    assert ended.status == 1
    assert "Hash mismatch for `instrument==1.0.0`" in ended.result["reason"]
    assert host.environments() == []


def test_a_lock_exchanged_after_its_check_changes_nothing(host: RunnerHost) -> None:
    """What is installed is what was verified, whatever the file holds by then."""
    verified = host.lock.read_bytes()
    uv = shutil.which("uv")
    tools = host.tools(uv=f'#!/usr/bin/bash\necho "# other" >>"{host.lock}"\nexec {uv} "$@"\n')
    ended = host.result_of(PATH=f"{tools}:{Path(sys.base_prefix) / 'bin'}")
    assert ended.status == 0, ended
    assert host.lock.read_bytes() != verified
    assert (host.environments()[0] / "requirements.txt").read_bytes() == verified


def test_a_source_distribution_is_never_built(host: RunnerHost) -> None:
    """Wheels only: building would run code that no lock describes."""
    (host.wheels / "instrument-1.0.0-py3-none-any.whl").unlink()
    (host.wheels / "instrument-1.0.0.tar.gz").write_bytes(b"")
    ended = host.result_of()
    assert ended.status == 1
    assert "instrument" in ended.result["reason"]
    assert host.environments() == []


def test_a_lock_without_dkist_task_is_refused(host: RunnerHost) -> None:
    """An environment that could not start its task is not kept."""
    make_wheel(host.wheels, "alone", "1.0.0", {"alone.py": ""})
    host.make_lock("alone==1.0.0\n")
    ended = host.result_of()
    assert ended.status == 1
    assert "No module named 'dkist_task'" in ended.result["reason"]
    assert host.environments() == []


def test_packages_in_conflict_live_side_by_side(host: RunnerHost) -> None:
    """Two releases that need different versions of a dependency have an environment each."""
    source = "import dependency\ndef run():\n    print('VERSION', dependency.__doc__)\n"
    for version in ("1.1", "2.0"):
        make_wheel(host.wheels, "dependency", version, {"dependency.py": f"'{version}'"})
    seen = []
    for version in ("1.1", "2.0"):
        requires = ("dkist-task", f"dependency=={version}")
        make_wheel(host.wheels, "instrument", version, {"instrument.py": source}, requires=requires)
        host.make_lock(f"instrument=={version}\ndkist-task[otlp]\n")
        seen += host.result_of().lines
    assert seen == ["VERSION 1.1", "VERSION 2.0"]
    assert len(host.environments()) == 2


def test_an_edit_in_one_environment_stays_there(host: RunnerHost) -> None:
    """Files are copies: what happens to one environment does not reach the next one built from the same cache."""
    assert host.result_of().status == 0
    (environment,) = host.environments()
    (module,) = environment.glob("lib/python*/site-packages/instrument.py")
    module.write_text("raise SystemExit('edited')\n", encoding="utf-8")
    shutil.rmtree(environment)
    assert host.result_of().status == 0


def test_a_build_killed_at_any_moment_leaves_nothing_that_is_used(host: RunnerHost) -> None:
    """Whatever instant a build and the runner are killed at, the next task has a whole environment."""
    moments = random.Random(4)
    began = 0
    for number in range(12):
        shutil.rmtree(host.store, ignore_errors=True)
        with host.started():
            if number % 2:  # a busy machine may take long to come to the build
                wait_for(host.environments, "the build's start")
            time.sleep(moments.uniform(0.02, 0.6))
            host.end_all()
        began += bool(host.environments())
        ended = host.result_of()
        assert ended.status == 0, ended
        (environment,) = host.environments()
        assert (environment / MARKER).exists()
    assert began > 3, "most of the moments lie in the build"


def test_a_builder_that_is_stopped_is_followed_by_one_that_waits(host: RunnerHost) -> None:
    """Nobody fails for the end of another task: one of those that wait builds instead."""
    with package_index(host.wheels, hangs=True) as url, host.started(**index_settings(url)) as builder:
        builder.read_message("building")
        with host.started() as waiting:
            assert re.search(r"waiting for .*, held by process \d+ on ", waiting.read_message("waiting"))
            builder.command(stop="cancellation", text="cleared")
            ended = waiting.end()
    assert ended.status == 0, ended
    assert any("the task runs" in line for line in ended.lines)


def test_waiting_for_a_build_is_bounded_and_names_the_holder(host: RunnerHost) -> None:
    """A build that hangs does not hold other tasks for ever."""
    impatient = changed("ENVIRONMENT_WAIT_SECONDS = 1800.0", "ENVIRONMENT_WAIT_SECONDS = 2.0")
    with package_index(host.wheels, hangs=True) as url, host.started(**index_settings(url)) as builder:
        builder.read_message("building")
        ended = host.result_of(modules=impatient)
    assert ended.status == 1
    assert re.search(r"gave up after 2 s: .* is still held by process \d+ on ", ended.result["reason"])


def test_an_environment_whose_interpreter_moved_is_built_again(host: RunnerHost) -> None:
    """The old environment counts for nothing once its interpreter is gone."""
    library = f"lib/python{PYTHON}"
    for name in ("first", "second"):
        home = host.folder / name
        (home / "bin").mkdir(parents=True)
        (home / "lib").mkdir()
        shutil.copy(Path(sys.base_prefix) / "bin" / f"python{PYTHON}", home / "bin" / f"python{PYTHON}")
        (home / library).symlink_to(Path(sys.base_prefix) / library)

    def messages(name: str) -> str:
        ended = host.result_of(PATH=f"{host.folder / name / 'bin'}:{host.tools()}")
        assert ended.status == 0, ended
        return ended.messages

    assert "building" in messages("first")
    assert "building" not in messages("first")
    shutil.rmtree(host.folder / "first")
    assert "building" in messages("second")
    (environment,) = host.environments()
    assert str(host.folder / "second") in (environment / "pyvenv.cfg").read_text(encoding="utf-8")


def test_a_full_disk_is_said_and_leaves_nothing(host: RunnerHost) -> None:
    """Where the store's file system is full, the task fails in the installer's words, with the remedy."""
    host.store.mkdir()
    make_wheel(host.wheels, "big", "1.0.0", {"big.py": "#" * 1_000_000})
    host.make_lock("instrument==1.0.0\ndkist-task\nbig\n")
    mount = f'mount -t tmpfs -o size=256k,mode=700 none "{host.store}" && exec "$0" -I -S -c "$1"'
    ended = run_under(host, ["unshare", "--map-root-user", "--mount", "bash", "-c", mount, sys.executable, COMMAND[-1]])
    assert ended.status == 1
    assert "No space left on device" in ended.result["reason"]
    assert "could not build the environment" in ended.result["reason"]
    assert f"; free space on the disk of the environment store {host.store} (" in ended.result["reason"]


def test_a_disk_that_a_task_filled_is_named(host: RunnerHost) -> None:
    """The launcher cannot write how the task ended; the reason says which folder is full, and how to fix it."""
    host.store.mkdir()
    mount = f'mount -t tmpfs -o size=16m,mode=700 none "{host.store}" && exec "$0" -I -S -c "$1"'
    command = ["unshare", "--map-root-user", "--mount", "bash", "-c", mount, sys.executable, COMMAND[-1]]
    ended = run_under(host, command, "fills_the_store")
    assert ended.status == 1
    attempts = re.escape(f"{host.store}/attempts/")
    words = rf"cannot write to {attempts}\w+: No space left on device; free space on the disk of {attempts}"
    assert re.search(words, ended.result["reason"]), ended.result


def test_a_limit_on_file_sizes_fails_the_build(host: RunnerHost) -> None:
    """A build that the host cuts short is no environment."""
    make_wheel(host.wheels, "big", "1.0.0", {"big.py": "#" * 1_000_000})
    host.make_lock("instrument==1.0.0\ndkist-task\nbig\n")
    ended = run_under(
        host,
        [sys.executable, *COMMAND],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000)),
    )
    assert ended.status == 1
    assert "could not build the environment" in ended.result["reason"]
    assert host.environments() == []


def run_under(host: RunnerHost, command: list[str], task: str = "run", **options: Any) -> Ended:
    """Run a command that becomes the runner."""
    result = subprocess.run(
        command,
        input=HANDOVER + json.dumps(host.request(task)).encode() + b"\n",
        cwd=host.work,
        capture_output=True,
        check=False,
        timeout=120,
        **options,
    )
    return Ended(result.returncode, result.stdout, result.stderr)


MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:44 / /data rw - nfs4 server:/data rw
31 30 0:45 / /data/local\\040disk rw - xfs /dev/sdb rw
32 22 0:46 / /database rw - lustre x rw
33 22 0:47 / /home rw - fuse.sshfs x rw
34 22 0:48 / /layer rw - fuse.fuse-overlayfs x rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/store", "nfs4"),
        ("/data/local disk/store", "xfs"),
        ("/databases", "ext4"),
        ("/database", "lustre"),
        ("/home/a", "fuse.sshfs"),
        ("/", "ext4"),
    ],
)
def test_the_file_system_of_a_path_is_found(path: str, kind: str) -> None:
    """The longest mount point above it says."""
    assert file_system_type(path, MOUNTS) == kind


def test_a_store_on_a_network_file_system_is_refused(host: RunnerHost) -> None:
    """Locks do not hold there."""
    kind = file_system_type(str(host.folder), Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    ended = host.result_of(modules=changed('"coda"', f'"coda", "{kind}"'))
    assert ended.status == 1
    assert f"is on a network file system ({kind})" in ended.result["reason"]
    assert host.environments() == []


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_store_that_others_may_write_to_is_refused(host: RunnerHost, mode: int) -> None:
    """Who can write there can change what tasks run."""
    host.store.mkdir()
    host.store.chmod(mode)
    ended = host.result_of()
    assert ended.status == 1
    assert f"can be written to by others than its owner (mode {mode:o})" in ended.result["reason"]
    assert f"chmod go-w {host.store}" in ended.result["reason"]
    assert host.environments() == []


def test_a_store_is_made_for_its_user_alone_to_write(host: RunnerHost) -> None:
    """Whatever the worker's umask is; the task keeps that umask."""
    ended = run_under(host, [sys.executable, *COMMAND], "shows_umask", umask=0o002)
    assert ended.status == 0, ended
    assert "UMASK 2" in ended.lines
    for path in (host.store, *host.environments(), *host.environments()[0].rglob("*.py")):
        assert not path.stat().st_mode & 0o022, path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", ["store", "environment"])
def test_what_another_user_put_there_is_refused(host: RunnerHost, what: str) -> None:
    """Neither a store nor an environment of somebody else's is used."""
    assert host.result_of().status == 0
    path = host.store if what == "store" else host.environments()[0]
    os.chown(path, 65534, -1)
    ended = host.result_of()
    assert ended.status == 1
    assert f"{path} belongs to the user nobody, but this is root" in ended.result["reason"]
    assert "run it as the user that runs the tasks" in ended.result["reason"]


def test_the_lock_file_tells_the_last_use(host: RunnerHost) -> None:
    """Each start of a task sets the time of the file beside the environment; its inode stays."""
    assert host.result_of().status == 0
    (lock,) = host.store.glob(f"*{LOCK_SUFFIX}")
    first = lock.stat().st_ino
    os.utime(lock, (1_000_000_000, 1_000_000_000))
    assert host.result_of().status == 0
    assert abs(lock.stat().st_mtime - time.time()) < 60
    assert lock.stat().st_ino == first
    wait_for(lambda: not host.pids(), "the end of all processes")


def test_a_build_that_is_stopped_stops_at_once(host: RunnerHost) -> None:
    """Its programs end, and no task is run."""
    with package_index(host.wheels, hangs=True) as url, host.started(**index_settings(url)) as process:
        process.read_message("building")
        os.kill(process.pid, signal.SIGTERM)
        ended = process.end(seconds=9)  # at ten its programs would be killed
    assert ended.status == -signal.SIGTERM
    assert ended.result["result"] == "cancellation"
    assert "ending the start of the task" in ended.messages
    wait_for(lambda: not host.pids(), "the end of all processes")
