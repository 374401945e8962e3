"""What the operator makes of a runner: its log, its result, its end, and Airflow's ways to stop it."""

from __future__ import annotations

import contextvars
import json
import logging
import os
import signal
import threading
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow.sdk.execution_time.timeout import TimeoutPosix

from dkist_airflow_node.dag.body import DkistTask, make_dag
from tests.dkist_airflow_node.dag.runners import stub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def operator(behaviour: str, *, parameters: tuple[dict[str, Any], ...] = (), **changes: Any) -> DkistTask:
    """Return the operator of a task, rendered, whose runner behaves as the test says."""
    workflow: dict[str, Any] = {
        "dag_id": "test_stub_1.0",
        "name": "test_stub",
        "version": "1.0",
        "description": "",
        "doc": None,
        "tags": [],
        "python": "3.11",
        "max_active_runs": 1,
        "parameters": parameters,
    }
    task: dict[str, Any] = {
        "task_id": "Calibrate",
        "entry_point": "instrument.tasks:Calibrate",
        "doc": "Calibrate each frame.",
        "environment": {"DKIST_LOCK": "{{ dag.folder }}/requirements.txt", "DKIST_LOCK_SHA256": "a" * 64},
        "upstreams": (),
        "queue": "default",
        "pool": "default_pool",
        "retries": 2,
        "retry_delay_seconds": 1.0,
        "timeout_seconds": None,
    }
    made = make_dag(workflow, (task | changes,), stub(behaviour)).get_task("Calibrate")
    assert isinstance(made, DkistTask)
    made.run_variables = {"DKIST_RECIPE_RUN_ID": "7"}
    return made


timeout: Any = TimeoutPosix  # without types


def execute(task: DkistTask, **params: Any) -> None:
    """Execute an operator as Airflow's task process does."""
    ti = SimpleNamespace(dag_id=task.dag_id, run_id="manual__1", task_id=task.task_id, map_index=-1)
    context = contextvars.copy_context()
    context.run(ExecutorSafeguard.tracker.set, task)
    context.run(task.execute, {"ti": ti, "params": params})


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Wait for the operator's threads, so that none of them outlives its test."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 20
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    """Show records of every level."""
    caplog.set_level(logging.DEBUG)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    """Return level, logger and text of what the runner wrote."""
    return [
        (record.levelname, record.name, record.getMessage())
        for record in caplog.records
        if record.name.startswith(("dkist.", "instrument", "task."))
    ]


def test_runner_gets_request_without_secrets_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything reaches the runner on standard input; its environment, which others may read, has nothing of it."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://secret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("ISB_PASSWORD", "secret")
    path = tmp_path / "seen.json"
    execute(
        operator(
            f"open({str(path)!r}, 'w').write(json.dumps([REQUEST, dict(os.environ), os.getsid(0) == os.getpid()]))\n"
            "end('success')"
        )
    )
    request, environ, is_own_session = json.loads(path.read_text())
    assert environ.keys() <= {"PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TMPDIR"}
    assert environ["LC_ALL"] == "C.UTF-8"
    assert is_own_session
    assert request.keys() == {"action", "environ", "watch", "attempt"}
    assert (request["action"], request["attempt"]) == ("run", "test_stub_1.0/manual__1/Calibrate/-1")
    assert request["watch"] == [os.getpid()]  # the parent of this process is a shell, not Airflow's supervisor
    assert request["environ"]["ISB_PASSWORD"] == "secret"
    assert request["environ"]["DKIST_TASK"] == "instrument.tasks:Calibrate"
    assert request["environ"]["DKIST_TASK_NAME"] == "Calibrate"
    assert "DKIST_PARAMETERS" not in request["environ"]
    assert request["environ"]["DKIST_RECIPE_RUN_ID"] == "7"


def test_parameters_reach_the_runner_as_their_types(tmp_path: Path) -> None:
    """What a form or an API client gives for a type becomes that type: 1 for a number, null for an empty text."""
    rows = (
        {"name": "bins", "default": 4, "type": "integer", "minimum": 1, "maximum": 8},
        {"name": "threshold", "default": 0.5, "type": "number"},
        {"name": "is_quick", "default": False, "type": "boolean"},
        {"name": "note", "default": "", "type": "string"},
    )
    path = tmp_path / "seen.json"
    task = operator(
        f"open({str(path)!r}, 'w').write(REQUEST['environ']['DKIST_PARAMETERS']); end('success')", parameters=rows
    )
    execute(task, recipe_run_id=7, bins=2.0, threshold=1, is_quick=True, note=None)
    assert path.read_text() == '{"bins": 2, "threshold": 1.0, "is_quick": true, "note": ""}'


def test_records_keep_level_and_logger(caplog: pytest.LogCaptureFixture) -> None:
    """Records are what the task logged, lines are INFO, and a level that Airflow would drop becomes INFO."""
    execute(
        operator(
            """
record("preparing", group="environment")
record("", group=None)
record("", group="task")
record("100 %s of {frames}", "WARNING", "instrument.frames")
record("boom\\nTraceback (most recent call last):", "ERROR", "instrument")
record("unknown", "NOTICE", "instrument")
print("printed ☀", flush=True)
sys.stdout.buffer.write(b"\\xff\\xfe\\x1b[1m\\r\\n\\n\\x1e{no json\\n\\x1e[1]\\n")
sys.stdout.buffer.write(b"\\x1e" + b"[" * 60000 + b"\\n")
end("success")
"""
        )
    )
    got = lines(caplog)
    assert got[:8] == [
        ("INFO", "dkist.runner", "::group::environment"),
        ("INFO", "dkist.runner", "preparing"),
        ("INFO", "dkist.runner", "::endgroup::"),
        ("INFO", "dkist.runner", "::group::task"),
        ("WARNING", "instrument.frames", "100 %s of {frames}"),
        ("ERROR", "instrument", "boom\nTraceback (most recent call last):"),
        ("INFO", "instrument", "unknown"),
        ("INFO", "task.stdout", "printed ☀"),
    ]
    assert [text for _, _, text in got[8:]] == [
        "\ufffd\ufffd\x1b[1m",
        "",
        "\x1e{no json",
        "\x1e[1]",
        "\x1e" + "[" * 60000,
        "::endgroup::",
    ]


def test_flood_needs_bounded_memory_and_no_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of 30 MB comes in pieces, many lines are not kept, and names of loggers do not pile up."""
    sizes: list[int] = []

    class Measure(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sizes.append(len(record.getMessage()))

    monkeypatch.setattr(logging.root, "handlers", [Measure()])  # pytest's would keep every record
    known = len(logging.root.manager.loggerDict)
    tracemalloc.start()
    try:
        execute(
            operator(
                """
for _ in range(30): sys.stdout.write("x" * 1_000_000)
sys.stdout.write("\\n")
for number in range(20_000): print("line", number)
for number in range(2_000): record("text", logger=f"instrument.frame_{number}")
end("success")
"""
            )
        )
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert len(logging.root.manager.loggerDict) == known
    assert max(sizes) <= 65536
    assert sum(sizes) > 30_000_000
    assert len(sizes) > 22_000


@pytest.mark.parametrize(
    ("result", "base", "name", "text"),
    [
        (
            "'failure', error_type='instrument.errors.FrameError', error='no image', reason='FrameError: no image'",
            AirflowException,
            "instrument.errors.FrameError",
            "no image",
        ),
        ("'failure', error_type='KeyError', error=None", AirflowException, "builtins.KeyError", ""),
        (
            "'failure', error_type='instrument.make.<locals>.Odd', error='odd'",
            AirflowException,
            "instrument.make.<locals>.Odd",
            "odd",
        ),
        ("'failure', error_type='in valid', reason='why'", AirflowException, "TaskFailed", "why"),
        ("'failure', signal='SIGSEGV', reason='died of SIGSEGV'", AirflowException, "TaskKilled", "died of SIGSEGV"),
        (
            "'failure', signal='SIGKILL', is_out_of_memory=True, reason='peak 2 GiB'",
            AirflowException,
            "OutOfMemory",
            "peak 2 GiB",
        ),
        ("'error', reason='no Python 3.19', can_retry=False", AirflowFailException, "TaskNotStarted", "no Python 3.19"),
        ("'error', reason='uv: no such version'", AirflowException, "TaskNotStarted", "uv: no such version"),
        ("'cancellation', reason='a parent died'", AirflowException, "TaskCancelled", "a parent died"),
        ("'new', can_retry=None", AirflowException, "TaskFailed", "the runner does not say why"),
        ("'skip', reason='no polarimetric data'", AirflowSkipException, "AirflowSkipException", "no polarimetric data"),
    ],
)
def test_exception_says_what_the_runner_said(result: str, base: type[Exception], name: str, text: str) -> None:
    """Type and text are the task's own or the runner's diagnosis; the base class says whether to retry."""
    with pytest.raises(base) as caught:
        execute(operator(f"end({result})"))
    kind = type(caught.value)
    assert f"{kind.__module__}.{kind.__name__}".endswith(name)
    assert str(caught.value) == text
    assert issubclass(kind, AirflowFailException) == (base is AirflowFailException)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        ("sys.exit('MemoryError')", "the runner ended with status 1 without a result; it last wrote: MemoryError"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "the runner ended with status -9 without a result"),
        (
            "sys.stderr.write('[1]'); sys.stderr.flush(); os._exit(99)",
            r"the runner ended with status 99 without a result; it last wrote: \[1\]",
        ),
        ("os._exit(0)", "the runner ended with status 0 without a result"),
    ],
)
def test_runner_without_a_result_is_a_failure(behaviour: str, text: str) -> None:
    """Whatever its exit status says (99 is no skip, 0 no success), only its word counts, and Airflow may retry."""
    with pytest.raises(AirflowException, match=f"^{text}$") as caught:
        execute(operator(behaviour))
    assert type(caught.value).__name__ == "RunnerFailed"
    assert not isinstance(caught.value, AirflowFailException | AirflowSkipException)


def test_result_comes_after_noise_and_before_the_end_of_the_runner(tmp_path: Path) -> None:
    """The last line counts, and a runner that still has to tidy up keeps nobody waiting."""
    go = tmp_path / "go"
    execute(
        operator(
            f"""
sys.stderr.write('a warning\\n')
end('success')
until = time.monotonic() + 15
while not os.path.exists({str(go)!r}) and time.monotonic() < until: time.sleep(0.02)
open({str(tmp_path / "told")!r}, "w").write(str(os.path.exists({str(go)!r})))
"""
        )
    )
    assert not (tmp_path / "told").exists()
    go.touch()


def test_runner_that_cannot_be_started_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is the system's."""
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(AirflowException, match=r"the runner could not be started: .*No such file") as caught:
        execute(operator(""))
    assert type(caught.value).__name__ == "TaskNotStarted"


CLEAN_UP = """
print("ready", flush=True)
command = stop()
record("stopping", "WARNING")
time.sleep(1)
print("cleaned up", flush=True)
end(command["stop"], reason=f"{command['stop']} ({command['text']})")
"""


def test_timeout_waits_for_the_task_to_clean_up(caplog: pytest.LogCaptureFixture) -> None:
    """After its time the task is stopped as timed out; what it then prints is logged, and the exception says it."""
    task = operator(CLEAN_UP, timeout_seconds=1.0)
    with pytest.raises(AirflowTaskTimeout, match=r"^timeout \(execution_timeout of 0:00:01\)$") as caught, timeout(1):
        execute(task)
    assert ("INFO", "task.stdout", "cleaned up") in lines(caplog)
    assert caught.value.__suppress_context__
    task.on_kill()  # as Airflow does after a timeout


def test_success_at_the_last_moment_is_a_success() -> None:
    """A task that had finished when its time was over has succeeded."""
    with timeout(1):
        execute(operator("stop(); end('success')", timeout_seconds=1.0))


def test_runner_that_does_not_answer_holds_no_timeout_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner that waits for the kernel for ever does not keep the task running in Airflow's eyes."""
    monkeypatch.setattr("dkist_airflow_node.dag.body.STOP_SECONDS", 0.5)
    with pytest.raises(AirflowTaskTimeout, match="the runner has not said how the task ended"), timeout(1):
        execute(operator("stop(); time.sleep(3); end('timeout')"))


@pytest.fixture
def on_sigterm() -> Iterator[Callable[[DkistTask], None]]:
    """Return a function that has SIGTERM stop an operator as in Airflow's task process."""
    before = signal.getsignal(signal.SIGTERM)

    def stop(task: DkistTask) -> None:
        signal.signal(signal.SIGTERM, lambda *_: task.on_kill())

    yield stop
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def when_ready(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., None]]:
    """Return a function that sends this process signals as soon as the runner of `CLEAN_UP` is ready."""
    threads = []

    def send(*numbers: signal.Signals) -> None:
        deadline = time.monotonic() + 30
        while not any(record.getMessage() == "ready" for record in list(caplog.records)):
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(0.1)

    def start(*numbers: signal.Signals) -> None:
        threads.append(threading.Thread(target=send, args=numbers))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


def test_kill_stops_the_task_and_its_last_words_are_logged(
    caplog: pytest.LogCaptureFixture,
    on_sigterm: Callable[[DkistTask], None],
    when_ready: Callable[..., None],
) -> None:
    """A signal handler passes the stop on, twice does no harm, and the task is not taken for a success."""
    task = operator(CLEAN_UP)
    on_sigterm(task)
    when_ready(signal.SIGTERM, signal.SIGTERM)
    with pytest.raises(AirflowException, match=r"^cancellation \(Airflow stopped it: marked, cleared, or") as caught:
        execute(task)
    assert type(caught.value).__name__ == "TaskCancelled"
    assert ("INFO", "task.stdout", "cleaned up") in lines(caplog)


def test_kill_before_the_start_stops_the_task() -> None:
    """A signal that came while Airflow was still preparing is not lost."""
    task = operator(CLEAN_UP)
    task.on_kill()
    with pytest.raises(AirflowException, match=r"^cancellation "):
        execute(task)


def test_interrupt_stops_the_task_first(caplog: pytest.LogCaptureFixture, when_ready: Callable[..., None]) -> None:
    """Ctrl-C in `airflow dags test` reaches who pressed it, after the task has cleaned up."""
    when_ready(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        execute(operator(CLEAN_UP))
    assert ("INFO", "task.stdout", "cleaned up") in lines(caplog)


def test_supervisor_is_watched_where_it_is_the_parent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The channel to a real supervisor tells it from `dag.test()`, which has one of its own in the same process."""
    from airflow.sdk.execution_time import task_runner  # only here
    from airflow.sdk.execution_time.comms import CommsDecoder
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    path = tmp_path / "watch"
    task = operator(f"open({str(path)!r}, 'w').write(json.dumps(REQUEST['watch'])); end('success')")
    for kind, expected in ((CommsDecoder, [os.getpid(), os.getppid()]), (InProcessSupervisorComms, [os.getpid()])):
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", object.__new__(kind), raising=False)
        execute(task)
        assert json.loads(path.read_text()) == expected
