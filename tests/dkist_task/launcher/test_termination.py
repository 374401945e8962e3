"""SIGTERM at different moments of a task that runs in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.dkist_task.conftest import Collector, Launched, Launcher, values

BUSY = """
import threading, subprocess, hashlib, socket
class Task(TaskBase):
    def __exit__(self, *_): print("CLEANED", flush=True)
class Python(Task):
    def run(self):
        with self.telemetry_span("work"):
            print("READY", flush=True)
            while True: sum(range(100))
class Sleep(Task):
    def run(self):
        with self.telemetry_span("work"):
            print("READY", flush=True); time.sleep(60)
class Lock(Task):
    def run(self):
        lock = threading.Lock()
        with self.telemetry_span("work"), lock:
            print("READY", flush=True); lock.acquire()
class Subprocess(Task):
    def run(self):
        with self.telemetry_span("work"):
            print("READY", flush=True); subprocess.run(["sleep", "60"])
class Socket(Task):
    def run(self):
        with self.telemetry_span("work"):
            a, b = socket.socketpair()
            print("READY", flush=True); a.recv(1)
class Asyncio(Task):
    def run(self):
        import asyncio
        async def spin():
            with self.telemetry_span("work"):
                print("READY", flush=True)
                while True: await asyncio.sleep(0)
        asyncio.run(spin())
class Stubborn(Task):
    def run(self):
        with self.telemetry_span("work"):
            print("READY", flush=True)
            for _ in range(2):
                try: time.sleep(60)
                except BaseException: pass
            time.sleep(60)
class Destructor(Task):
    def run(self):
        class Slow:
            def __del__(self):
                until = time.monotonic() + 0.05
                while time.monotonic() < until: pass
        with self.telemetry_span("work"):
            print("READY", flush=True)
            while True: Slow()
class Swallows(Task):
    def __exit__(self, *_):
        print("CLEANED", flush=True)
        return True
    def run(self):
        with self.telemetry_span("work"):
            print("READY", flush=True); time.sleep(60)
class FailsCleaning(Task):
    def __exit__(self, *_):
        print("CLEANED", flush=True)
        raise OSError("cannot clean")
    def run(self):
        with self.telemetry_span("work"):
            print("READY", flush=True); time.sleep(60)
"""


def terminate(launch: Launcher, process: subprocess.Popen[str], times: int = 1) -> Launched:
    """Send SIGTERM once the task says that it is ready, leave the file ``struck``, and wait for its end."""
    assert process.stdout is not None
    head = ""
    for line in process.stdout:
        head += line
        if "READY" in line:
            break
    began = time.monotonic()
    for _ in range(times):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.02)
    (launch.folder / "struck").touch()
    ended = launch.finish(process)
    return Launched(ended.status, head + ended.output, ended.errors, time.monotonic() - began)


@pytest.mark.parametrize(
    "task",
    [
        "Python", "Sleep", "Lock", "Subprocess", "Socket", "Asyncio", "Stubborn", "Destructor", "Swallows",
        "FailsCleaning",
    ],
)  # fmt: skip
def test_a_terminated_task_cleans_up_and_dies_of_sigterm(collector: Collector, launch: Launcher, task: str) -> None:
    """Whatever the task is doing, ``__exit__`` runs once, its spans arrive as cancelled and it dies of SIGTERM."""
    process = launch.start(BUSY, task, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    ended = terminate(launch, process, times=3)
    assert ended.status == -signal.SIGTERM, ended.log
    assert ended.output.count("CLEANED") == 1
    for name in ("work", "run", task):
        assert collector.span(name).status.code == Status.STATUS_CODE_ERROR
        error_type = str(values(collector.span(name).attributes)["error.type"])
        # An event loop turns what ends it into the cancellation of its coroutines.
        assert error_type.endswith(("CancelledError", "TaskTerminated") if task == "Asyncio" else "TaskTerminated")
    assert values(collector.span(task).attributes)["cicd.pipeline.task.run.result"] == "cancellation"
    (count,) = collector.metric("dkist.task.runs").sum.data_points
    assert values(count.attributes)["cicd.pipeline.task.run.result"] == "cancellation"
    if task != "Asyncio":  # whose coroutine's cancellation may come out as an exception, and is shown then
        shown = 2 if task == "FailsCleaning" else ended.log.count("Exception ignored")
        assert ended.log.count("Traceback") == shown


def test_native_code_that_takes_long_does_not_lose_its_spans(
    collector: Collector, launch: Launcher, wait_for: Callable[[Callable[[], bool]], None]
) -> None:
    """Spans around native code arrive while it runs, and ``__exit__`` runs after it."""
    code = """
import hashlib
class Task(TaskBase):
    def __exit__(self, *_): print("CLEANED", flush=True)
    def run(self):
        with self.telemetry_span("work"):
            print("READY", flush=True)
            hashlib.pbkdf2_hmac("sha256", b"p", b"s", 6_000_000)
"""
    process = launch.start(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    waiter = threading.Thread(target=lambda: wait_for(lambda: len(collector.spans()) >= 4))
    waiter.start()
    ended = terminate(launch, process)
    waiter.join()
    assert ended.status == -signal.SIGTERM, ended.log
    assert "CLEANED" in ended.output
    assert [span.name for span in collector.spans()] == ["pre_run", "work", "run", "Task"]
    assert values(collector.span("Task").attributes)["cicd.pipeline.task.run.result"] == "cancellation"
    assert "ended span" not in ended.log


UNWOKEN = """
import multiprocessing, signal, threading
def strike():  # in a thread of its own, so that the signal does not interrupt what the main thread waits for
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
def block(task):
    with task.telemetry_span("ended"): pass
    with task.telemetry_span("open"):
        threading.Thread(target=strike, daemon=True).start()
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
class Task(TaskBase):
    def run(self): block(self)
class Parent(Task):
    def run(self):
        child = multiprocessing.get_context(os.environ["METHOD"]).Process(target=block, args=(self,))
        child.start(); child.join()
        print("CHILD", child.exitcode)
"""


def test_a_signal_that_interrupts_no_call_is_not_lost(collector: Collector, launch: Launcher) -> None:
    """SIGTERM that comes just before a call that blocks ends the task all the same."""
    ended = launch(UNWOKEN, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert ended.status == -signal.SIGTERM, ended.log
    assert values(collector.span("Task").attributes)["cicd.pipeline.task.run.result"] == "cancellation"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_signal_that_interrupts_no_call_ends_a_child(collector: Collector, launch: Launcher, method: str) -> None:
    """A child of `multiprocessing` dies of SIGTERM, and its spans arrive, whatever it waits for."""
    ended = launch(UNWOKEN, "Parent", OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, METHOD=method)
    assert ended.status == 0, ended.log
    assert "CHILD -15" in ended.output
    assert collector.span("ended").status.code == Status.STATUS_CODE_UNSET
    assert collector.span("open").status.code == Status.STATUS_CODE_ERROR


def test_sigterm_during_the_import_is_reported(collector: Collector, launch: Launcher) -> None:
    """A task whose module is still being imported ends as a cancelled run."""
    code = """
print("READY", flush=True)
time.sleep(60)
class Task(TaskBase):
    def run(self): pass
"""
    ended = terminate(launch, launch.start(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint))
    assert ended.status == -signal.SIGTERM, ended.log
    assert values(collector.span("Task").attributes)["cicd.pipeline.task.run.result"] == "cancellation"


def test_sigterm_during_clean_up_does_not_break_it_off(collector: Collector, launch: Launcher) -> None:
    """A task that is in its ``__exit__`` finishes it, and dies of SIGTERM then."""
    code = """
class Task(TaskBase):
    def run(self): pass
    def __exit__(self, *_):
        print("READY", flush=True)
        until = time.monotonic() + 60
        while not os.path.exists("struck") and time.monotonic() < until: time.sleep(0.02)
        print("CLEANED", flush=True)
"""
    ended = terminate(launch, launch.start(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint), times=2)
    assert ended.status == -signal.SIGTERM, ended.log
    assert "CLEANED" in ended.output
    assert values(collector.span("Task").attributes)["cicd.pipeline.task.run.result"] == "cancellation"


def test_sigterm_after_the_outcome_is_settled_changes_nothing(collector: Collector, launch: Launcher) -> None:
    """A task that was reported as a success exits as one."""
    code = """
import atexit
def last():
    print("READY", flush=True)
    until = time.monotonic() + 60
    while not os.path.exists("struck") and time.monotonic() < until: time.sleep(0.02)
atexit.register(last)
class Task(TaskBase):
    def run(self): pass
"""
    ended = terminate(launch, launch.start(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint))
    assert ended.status == 0, ended.log
    assert values(collector.span("Task").attributes)["cicd.pipeline.task.run.result"] == "success"


def test_a_task_that_handles_sigterm_itself_is_left_alone(launch: Launcher) -> None:
    """A handler that the task installs is the task's business."""
    code = """
import signal
class Task(TaskBase):
    def run(self):
        got = []
        signal.signal(signal.SIGTERM, lambda *_: got.append(1))
        print("READY", flush=True)
        while not got: time.sleep(0.01)
        time.sleep(1.5)
"""
    ended = terminate(launch, launch.start(code))
    assert ended.status == 0, ended.log


def test_children_of_multiprocessing_do_not_outlive_a_terminated_task(
    launch: Launcher, wait_for: Callable[[Callable[[], bool]], None]
) -> None:
    """A pool that nobody closes ends with the task."""
    code = """
import multiprocessing
class Task(TaskBase):
    def run(self):
        self.child = multiprocessing.Process(target=time.sleep, args=(50,))
        self.child.start()
        print("CHILD", self.child.pid, flush=True)
        print("READY", flush=True)
        time.sleep(60)
"""
    ended = terminate(launch, launch.start(code))
    assert ended.status == -signal.SIGTERM, ended.log
    pid = ended.output.split("CHILD ")[1].split()[0]
    wait_for(lambda: not is_running(pid))


def is_running(pid: str) -> bool:
    """Return whether a process is there and more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
