"""The runner as a supervisor: whatever ends a task ends all of it, and a task that listens may unwind."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dkist_airflow_node.worker.runner.processes import children_of
from tests.dkist_airflow_node.worker.runner_host import COMMAND, HANDOVER, RunnerHost, changed
from tests.dkist_airflow_node.worker.worker import is_running, package_index, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

TASKS = """
import json, os, signal, subprocess, sys, time
from pathlib import Path

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(300)"

def child(code, **options):
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, **options)
    process.stdout.readline()
    return process

def daemon():
    # Forked twice, deaf, in a session of its own, with nothing in its environment and no file of ours open.
    reader, writer = os.pipe()
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(writer, b"%d" % os.getpid())
        null = os.open("/dev/null", os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        os.closerange(3, 100)
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(300)"], {})
    os.wait()
    return int(os.read(reader, 20))

def write(name, text):
    Path(name + ".new").write_text(text)
    os.rename(name + ".new", name)

def wait_for(name):
    end = time.monotonic() + 60
    while not os.path.exists(name) and time.monotonic() < end:
        time.sleep(0.02)

def deaf():
    # A child in the task's group, one in a session of its own, one whose environment is not the task's, and a daemon.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    children = [child(DEAF), child(DEAF, start_new_session=True), child(DEAF, env={})]
    pids = [*(process.pid for process in children), daemon(), os.getpid()]
    write("pids", " ".join(map(str, pids)))
    print("started", flush=True)
    time.sleep(300)

def polite():
    # Unwinds; its children do not listen.
    def stop(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as the launcher does
        raise SystemExit(1)
    signal.signal(signal.SIGTERM, stop)
    children = [child(DEAF), child(DEAF, start_new_session=True)]
    try:
        write("pids", " ".join(str(process.pid) for process in children) + f" {daemon()} {os.getpid()}")
        time.sleep(300)
    finally:
        time.sleep(1)
        for _ in range(int(os.environ.get("TIMES", "1"))):
            print("unwinding" * 1000, flush=True)
        write("unwound", "yes")
        path = Path(os.environ["DKIST_STOP_FILE"])
        write("why", path.read_text() if path.exists() else "")

def stops_itself():
    def stop(*_):
        raise SystemExit(1)
    signal.signal(signal.SIGTERM, stop)
    try:
        write("pids", str(os.getpid()))
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(300)
    finally:
        write("unwound", "yes")

def dies():
    write("pids", f"{child(DEAF, start_new_session=True).pid} {daemon()}")
    os.kill(os.getpid(), signal.SIGKILL)

def leaves_a_child():
    # It holds standard output, as a child that a shell put into the background does.
    process = subprocess.Popen(["sleep", "300"], stdin=subprocess.DEVNULL, start_new_session=True)
    write("pids", str(process.pid))
    print("the last word", end="")

def leaves_a_loud_deaf_child():
    code = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.mkdir('is deaf')"
    code += "\\nwhile True: print('x' * 1000)"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    wait_for("is deaf")
    write("pids", str(process.pid))

def sleeps():
    write("pids", str(os.getpid()))
    time.sleep(300)

def naps():
    write("pids", str(os.getpid()))
    time.sleep(1.5)
    write("done", "yes")

def naps_until_go():
    write("pids", str(os.getpid()))
    wait_for("go")
    write("done", "yes")

def overlaps():
    # Two at once would find each other's file.
    os.mkdir("running")
    time.sleep(0.5)
    os.rmdir("running")

def shows_signals():
    print("HANDLERS", signal.getsignal(signal.SIGINT) is signal.default_int_handler,
          signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, signal.getsignal(signal.SIGQUIT) is signal.SIG_DFL)
    print("BLOCKED", signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    print("INPUT", repr(sys.stdin.read()))
"""

STARTER = """
import json, subprocess, sys
request = json.loads(sys.argv[2])
request["watch"] = [{watch}]
command = [sys.executable, "-I", "-S", "-c", sys.argv[1]]
process = subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, start_new_session=True)
process.stdin.write(bytes.fromhex(sys.stdin.read()) + json.dumps(request).encode() + b"\\n")
process.stdin.flush()
print(process.pid, flush=True)
process.wait()
"""
"""Stands for the process in which Airflow runs a task."""


@pytest.fixture
def host(tmp_path: Path) -> RunnerHost:
    """Return a host for a release of these tasks."""
    host = RunnerHost(tmp_path)
    host.release(TASKS)
    return host


def pids_of(host: RunnerHost) -> list[int]:
    """Return the processes that the running task has named."""
    file = host.work / "pids"
    wait_for(file.exists, "the task's start")
    return [int(pid) for pid in file.read_text(encoding="utf-8").split()]


def stat_of(pid: int) -> str:
    """Return what the kernel says of a process: its name and its state among others."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")


def runners_of(pid: int) -> tuple[int, int]:
    """Return the runner's two processes: the one that was started, and the one that works."""
    (worker,) = children_of(pid)
    return pid, worker


@contextmanager
def started_by_a_process(host: RunnerHost, task: str, **changes: Any) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start the runner under a parent that it watches and that can be killed; give the parent and the runner's id."""
    code = STARTER.replace("{watch}", "__import__('os').getpid()")
    with subprocess.Popen(
        [sys.executable, "-c", code, COMMAND[-1], json.dumps(host.request(task, **changes))],
        cwd=host.work,
        env={"PATH": os.defpath, "HOST_OF_TEST": str(host.folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(HANDOVER.hex())
        parent.stdin.close()
        try:
            yield parent, int(parent.stdout.readline())
        finally:
            host.end_all()


def tell(host: RunnerHost) -> None:
    """Let the task end that naps until the file ``go`` is there."""
    (host.work / "go").touch()


def assert_all_gone_in_time(host: RunnerHost, pids: list[int], begin: float, *, at_least: float = 0) -> None:
    """Check that the processes, and all that the runner started, end 10 s after `begin`, more or less."""
    wait_for(lambda: not any(map(is_running, pids)), f"the end of {pids}", seconds=14)
    assert at_least <= time.monotonic() - begin < 14
    wait_for(lambda: not host.pids(), "the end of the runner")


@pytest.mark.parametrize("how", ["command", "group", "first process", "second process"])
def test_a_deaf_task_and_its_children_are_killed_after_ten_seconds(host: RunnerHost, how: str) -> None:
    """SIGTERM, however it comes, is followed by SIGKILL for all that the task started, whatever it did to hide."""
    with host.started("deaf") as process:
        pids = pids_of(host)
        begin = time.monotonic()
        if how == "command":
            process.command(stop="cancellation", text="marked failed")
        elif how == "group":
            os.killpg(process.pid, signal.SIGTERM)
        else:
            os.kill(runners_of(process.pid)[how == "second process"], signal.SIGTERM)
        assert_all_gone_in_time(host, pids, begin, at_least=9)
        ended = process.end()
    assert ended.status == -signal.SIGTERM
    assert ended.result["result"] == "cancellation"
    assert "SIGTERM now, SIGKILL after 10 s" in ended.messages
    assert ("marked failed" if how == "command" else "the runner got SIGTERM") in ended.result["reason"]


def test_a_polite_task_unwinds_and_its_deaf_children_are_killed(host: RunnerHost) -> None:
    """The task has the time it needs; the result comes when it has ended, before its children are gone."""
    with host.started("polite", TIMES="20") as process:
        pids = pids_of(host)
        begin = time.monotonic()
        process.command(stop="timeout", text="execution_timeout of 600 s")
        ended = process.end(seconds=15)
        assert_all_gone_in_time(host, pids, begin)
    assert ended.output.count(b"unwinding" * 1000 + b"\n") == 20
    assert (host.work / "unwound").exists()
    assert ended.result["result"] == "timeout"
    assert ended.result["reason"] == "execution_timeout of 600 s"
    why = json.loads((host.work / "why").read_text(encoding="utf-8"))
    assert why == {"stop": "timeout", "text": "execution_timeout of 600 s"}


def test_a_task_that_stopped_itself_unwinds(host: RunnerHost) -> None:
    """A process that is stopped would only act on SIGTERM when it goes on, and be killed before that."""
    with host.started("stops_itself") as process:
        (pid,) = pids_of(host)
        wait_for(lambda: ") T " in stat_of(pid), "SIGSTOP")
        begin = time.monotonic()
        process.command(stop="cancellation", text="cleared")
        ended = process.end(seconds=15)
    assert time.monotonic() - begin < 8
    assert (host.work / "unwound").exists()
    assert ended.result["result"] == "cancellation"


def test_the_result_does_not_wait_for_what_is_left(host: RunnerHost) -> None:
    """Both pipes are closed as soon as the task itself has ended."""
    with host.started("polite") as process:
        pids = pids_of(host)
        begin = time.monotonic()
        process.command(stop="cancellation", text="cleared")
        process.stdout.read()
        assert json.loads(process.stderr.read())["result"] == "cancellation"
        assert time.monotonic() - begin < 8
        assert any(map(is_running, pids))
        assert_all_gone_in_time(host, pids, begin, at_least=9)


@pytest.mark.parametrize("task", ["deaf", "polite"])
def test_a_task_does_not_outlive_the_process_that_asked_for_it(host: RunnerHost, task: str) -> None:
    """Airflow's process killed with -9 ends the task as SIGTERM does."""
    with started_by_a_process(host, task) as (parent, _):
        pids = pids_of(host)
        begin = time.monotonic()
        parent.kill()
        assert_all_gone_in_time(host, pids, begin)
    assert (host.work / "unwound").exists() == (task == "polite")


@pytest.mark.parametrize("task", ["deaf", "polite"])
def test_a_task_does_not_outlive_any_process_that_is_watched(host: RunnerHost, task: str) -> None:
    """Airflow's supervisor killed with -9 leaves the task's process an orphan, which runs on: the task is ended."""
    with (
        subprocess.Popen(["sleep", "300"]) as supervisor,
        host.started(task, watch=(os.getpid(), supervisor.pid)) as process,
    ):
        pids = pids_of(host)
        begin = time.monotonic()
        supervisor.kill()
        ended = process.end(seconds=15)
        assert_all_gone_in_time(host, pids, begin)
    assert (host.work / "unwound").exists() == (task == "polite")
    assert f"process {supervisor.pid}, which asked for the task, is gone" in ended.messages


def test_a_task_whose_watched_process_is_gone_does_not_start(host: RunnerHost) -> None:
    """A parent that died before the runner looked is noticed."""
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    ended = host.result_of("sleeps", watch=(gone.pid,))
    assert ended.status == -signal.SIGTERM
    assert ended.result["result"] == "cancellation"
    assert not (host.work / "pids").exists()


def test_a_watched_process_of_another_user_is_no_orphan(host: RunnerHost) -> None:
    """Process 1, which an ordinary user may not touch, lives: nothing is ended."""
    assert host.result_of("naps", watch=(1,)).status == 0


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
def test_without_pidfds_the_runner_looks_once_a_second(host: RunnerHost, error: str) -> None:
    """On a kernel that cannot tell, "cannot look" is no sign of an end, and a real end is noticed all the same."""
    blind = changed("descriptor = os.pidfd_open(pid)", f"raise OSError(__import__('errno').{error}, '')")
    with (
        subprocess.Popen(["sleep", "300"]) as watched,
        host.started("sleeps", watch=(watched.pid,), modules=blind) as process,
    ):
        pids = pids_of(host)
        time.sleep(2.5)
        assert all(map(is_running, pids))
        watched.kill()
        watched.wait()
        assert process.end().result["result"] == "cancellation"


def test_without_lists_of_children_descendants_are_found_by_their_parent(host: RunnerHost) -> None:
    """Also where the kernel has no CONFIG_PROC_CHILDREN."""
    blind = changed("/children", "/no-such-file")
    with host.started("deaf", modules=blind) as process:
        pids = pids_of(host)
        begin = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        assert_all_gone_in_time(host, pids, begin, at_least=9)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("task", ["deaf", "polite"])
def test_a_task_does_not_outlive_either_of_the_runners_processes(host: RunnerHost, task: str, which: int) -> None:
    """Each of them killed with -9, the other ends all that the task started, and lets it unwind."""
    with host.started(task) as process:
        pids = pids_of(host)
        begin = time.monotonic()
        os.kill(runners_of(process.pid)[which], signal.SIGKILL)
        assert_all_gone_in_time(host, pids, begin, at_least=9)
        ended = process.end()
    assert ended.status == -signal.SIGKILL
    assert (host.work / "unwound").exists() == (task == "polite")
    if which == 0:
        assert "the runner's first process was killed" in ended.result["reason"]
    else:
        assert ended.errors == b"", "no result: the operator says that the runner itself failed"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_stop_at_any_moment_of_the_start_leaves_nothing(host: RunnerHost, end: signal.Signals) -> None:
    """However early the runner is ended, no build or task goes on without it."""
    assert host.result_of("shows_signals").status == 0
    moments = random.Random(end)
    for _ in range(15):
        with host.started("sleeps") as process:
            time.sleep(moments.uniform(0, 0.15))
            os.kill(process.pid, end)
            assert process.wait(14) == -end
            wait_for(lambda: not host.pids(), "the end of all processes", seconds=14)


def test_the_children_of_a_task_that_was_killed_go_too(host: RunnerHost) -> None:
    """A task that the kernel kills for its memory leaves nothing that would disturb the retry."""
    with host.started("dies") as process:
        pids = pids_of(host)
        begin = time.monotonic()
        assert_all_gone_in_time(host, pids, begin)
        ended = process.end()
    assert ended.status == 1
    assert "killed by SIGKILL" in ended.result["reason"]


def test_a_child_left_behind_does_not_delay_the_end_and_is_ended(host: RunnerHost) -> None:
    """Though it holds the task's output. The log says what was left, and every word of the task is there."""
    assert host.result_of("shows_signals").status == 0  # builds the environment
    with host.started("leaves_a_child") as process:
        begin = time.monotonic()
        ended = process.end()
        assert time.monotonic() - begin < 8
        pids = pids_of(host)
        wait_for(lambda: not any(map(is_running, pids)), "the end of the child")
    assert ended.status == 0
    assert ended.lines == ["the last word"]
    assert f"the task left processes {pids} behind; ending them" in ended.messages


def test_a_child_that_goes_on_writing_does_not_delay_the_end(host: RunnerHost) -> None:
    """What was in the pipe when the task ended is taken, and no more."""
    assert host.result_of("shows_signals").status == 0
    with host.started("leaves_a_loud_deaf_child") as process:
        process.stdout.read()
        assert json.loads(process.stderr.read())["result"] == "success"
        begin = time.monotonic()
        pids = pids_of(host)
        assert all(map(is_running, pids))
        assert_all_gone_in_time(host, pids, begin, at_least=9)


def test_signals_and_input_of_a_task_are_plain(host: RunnerHost) -> None:
    """SIGINT interrupts (notebook kernels rely on it), SIGTERM is the launcher's, and nothing waits for input."""
    lines = host.result_of("shows_signals").lines
    assert "HANDLERS True True True" in lines
    assert "BLOCKED set()" in lines
    assert "INPUT ''" in lines


def test_a_task_is_not_stopped_by_signals_that_a_shell_ignored(host: RunnerHost) -> None:
    """What `nohup` and `&` set to be ignored is as usual in the task."""
    code = (
        "import signal as s, os, sys; [s.signal(n, s.SIG_IGN) for n in (1, 2, 3)]; os.execv(sys.argv[1], sys.argv[1:])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, sys.executable, *COMMAND],
        input=HANDOVER + json.dumps(host.request("shows_signals")).encode() + b"\n",
        cwd=host.work,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert b"HANDLERS True True True" in result.stdout


def test_a_build_ends_with_the_process_that_asked_for_it(host: RunnerHost) -> None:
    """A worker that dies during a build: the build stops, the task is not run, and the next task builds again."""
    with package_index(host.wheels, hangs=True) as url:
        hanging: dict[str, Any] = {"UV_FIND_LINKS": None, "UV_OFFLINE": None, "UV_DEFAULT_INDEX": url}
        with started_by_a_process(host, "deaf", **hanging) as (parent, _):
            wait_for(lambda: list(host.store.glob("*/requirements.txt")), "the build's start")
            begin = time.monotonic()
            parent.kill()
            assert_all_gone_in_time(host, [], begin)
    assert not (host.work / "pids").exists()
    assert not list(host.store.glob("*/.complete"))
    assert host.result_of("shows_signals").status == 0


def test_a_second_attempt_starts_when_the_first_is_gone(host: RunnerHost) -> None:
    """With all its descendants, also after a stop; the log says for whom it waits."""
    with host.started("deaf", attempt="a") as first:
        pids = pids_of(host)
        with host.started("shows_signals", attempt="a") as second:
            assert "dkist.runner" not in second.read_message("waiting for the end of another attempt")
            first.command(stop="cancellation", text="cleared")
            ended = second.end()
            assert not any(map(is_running, pids))
    assert ended.status == 0


def test_attempts_of_one_task_never_overlap(host: RunnerHost) -> None:
    """Five at once run one after the other; those of other tasks run beside them."""
    assert host.result_of("shows_signals").status == 0
    with ExitStack() as stack:
        processes = [stack.enter_context(host.started("overlaps", attempt="a")) for _ in range(5)]
        other = stack.enter_context(host.started("shows_signals", attempt="b"))
        assert other.end().status == 0
        assert any(process.process.poll() is None for process in processes)
        assert [process.end().status for process in processes] == [0] * 5
    assert list((host.store / "attempts").iterdir()) == []


def test_a_second_attempt_waits_though_the_lock_was_deleted(host: RunnerHost) -> None:
    """Somebody may clean up what looks like leftovers: the folder of the attempt has the lock, too."""
    assert host.result_of("shows_signals").status == 0
    with host.started("naps_until_go", attempt="a") as first:
        pids_of(host)
        (lock,) = (host.store / "attempts").glob("*.lock")
        lock.unlink()
        with host.started("shows_signals", attempt="a") as second:
            second.read_message("waiting for the end of another attempt")
            tell(host)
            assert first.end().result["result"] == "success"
            assert second.end().status == 0
    assert (host.work / "done").exists()
    assert list((host.store / "attempts").iterdir()) == []


def test_an_attempt_that_is_stopped_while_it_waits_disturbs_nobody(host: RunnerHost) -> None:
    """Folder and lock are those of the attempt that it waits for."""
    with host.started("naps_until_go", attempt="a") as first:
        pids_of(host)
        with host.started("shows_signals", attempt="a") as second:
            second.read_message("waiting for the end of another attempt")
            second.command(stop="cancellation", text="cleared")
            assert second.end().result["result"] == "cancellation"
            assert list((host.store / "attempts").glob("*.lock"))
            tell(host)
            assert first.end().result["result"] == "success"
    assert list((host.store / "attempts").iterdir()) == []


def test_an_attempt_whose_folder_was_deleted_says_so(host: RunnerHost) -> None:
    """Without its folder, nothing is known of how a task ended; the reason says which folder that was."""
    with host.started("naps_until_go", attempt="a") as first:
        pids_of(host)
        (folder,) = (path for path in (host.store / "attempts").iterdir() if path.is_dir())
        shutil.rmtree(folder)
        tell(host)
        result = first.end().result
    assert result["result"] == "failure"
    assert f"cannot write to {folder}: No such file or directory" in result["reason"]


@pytest.mark.parametrize("is_deaf", [True, False])
def test_the_next_attempt_ends_what_a_killed_runner_left(host: RunnerHost, *, is_deaf: bool) -> None:
    """Where both of the runner's processes were killed with -9, the lock that the task holds leads to it."""
    with host.started("deaf" if is_deaf else "sleeps", attempt="a") as first:
        *_, task = pids_of(host)
        for pid in runners_of(first.pid):
            os.kill(pid, signal.SIGSTOP)
        for pid in runners_of(first.pid):
            os.kill(pid, signal.SIGKILL)
        begin = time.monotonic()
        with host.started("shows_signals", attempt="a") as second:
            ended = second.end()
            assert ended.status == 0
            assert not is_running(task)
        if is_deaf:
            assert "the runner of that attempt was killed; ending what it left" in ended.messages
            assert time.monotonic() - begin > 9


def test_a_runner_that_proc_hides_is_not_taken_for_a_dead_one(host: RunnerHost) -> None:
    """With hidepid=2, an ordinary user does not see his own runner: a second attempt waits for it all the same."""
    hidden = changed("parent_and_start_of(takers[0])", "parent_and_start_of(2**22 + 1)")
    with host.started("naps_until_go", attempt="a") as first:
        pids_of(host)
        with host.started("shows_signals", attempt="a", modules=hidden) as second:
            second.read_message("waiting for the end of another attempt")
            tell(host)
            assert first.end().result["result"] == "success"
            assert second.end().status == 0


def test_attempts_that_wait_are_never_ended(host: RunnerHost) -> None:
    """A waiting runner has the lock's file open too, but does not hold the lock."""
    with host.started("deaf", attempt="a") as first:
        *_, task = pids_of(host)
        with host.started("shows_signals", attempt="a") as second, host.started("shows_signals", attempt="a") as third:
            second.read_message("waiting for the end")
            third.read_message("waiting for the end")
            for pid in runners_of(first.pid)[::-1]:
                os.kill(pid, signal.SIGKILL)
            assert second.end().status == 0
            assert third.end().status == 0
        assert not is_running(task)


def test_no_process_wakes_up_while_a_task_sleeps(host: RunnerHost) -> None:
    """The runner's two processes are not scheduled once in two seconds."""

    def switches(pid: int) -> list[str]:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        return [line for line in status.splitlines() if "ctxt_switches" in line]

    with host.started("sleeps", watch=(os.getpid(),)) as process:
        pids_of(host)
        both = runners_of(process.pid)
        seen: list[list[list[str]]] = []

        def has_settled() -> bool:  # a busy machine may take long until both wait
            time.sleep(0.5)
            seen.append([switches(pid) for pid in both])
            return seen[-2:-1] == seen[-1:]

        wait_for(has_settled, "the end of the start")
        time.sleep(2)
        assert [switches(pid) for pid in both] == seen[-1]


def test_airflows_end_harms_no_task(host: RunnerHost) -> None:
    """Where nobody reads any more, a task prints what it likes and comes to its end."""
    with host.started("naps_until_go") as process:
        pids_of(host)
        process.stdout.close()
        process.stderr.close()
        tell(host)
        assert process.wait(60) == 0
    assert (host.work / "done").exists()


def test_a_reader_that_stands_still_does_not_hold_up_a_stop(host: RunnerHost) -> None:
    """Airflow's process may be stuck: the task is ended all the same."""
    with host.started("leaves_a_loud_deaf_child") as process:
        pids = pids_of(host)
        begin = time.monotonic()
        process.command(stop="cancellation", text="cleared")
        assert_all_gone_in_time(host, pids, begin)
        assert process.wait(60) == -signal.SIGTERM
