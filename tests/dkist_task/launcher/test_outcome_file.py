"""What the launcher reports of a task: outcome file, records and last words, from real processes."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.dkist_task.conftest import Collector, Launched, Launcher, values
from tests.dkist_task.launcher.test_termination import terminate

TASKS = """
import logging, logging.config
class FrameError(Exception): pass
class Task(TaskBase):
    def run(self): pass
class Fails(TaskBase):
    def run(self): raise FrameError("observe_0005.fits holds no image")
class NoText(TaskBase):
    def run(self):
        class Silent(Exception):
            def __str__(self): raise RuntimeError("no text")
        raise Silent
class Huge(TaskBase):
    def run(self): raise ValueError("x" * 10_000_000)
class Skips(TaskBase):
    def run(self): raise TaskSkipped("no polarimetric data")
class ConfiguresLogging(TaskBase):
    def run(self): logging.config.dictConfig({"version": 1}); raise FrameError("no image")
class DisablesLogging(TaskBase):
    def run(self): logging.disable(); raise FrameError("no image")
class LogsToFile(TaskBase):
    def run(self): logging.basicConfig(force=True, filename="own.log"); raise FrameError("no image")
class ClosesStreams(TaskBase):
    def run(self):
        sys.stdout.close(); sys.stderr.close()
        logging.getLogger("instrument").warning("still here")
        raise FrameError("no image")
class RedirectsStreams(TaskBase):
    def run(self):
        sys.stdout = sys.stderr = open("own.log", "w")
        os.dup2(sys.stdout.fileno(), 1); os.dup2(sys.stdout.fileno(), 2)
        raise FrameError("no image")
class ClosesAndSucceeds(TaskBase):
    def run(self): sys.stderr.close(); logging.getLogger("instrument").error("unseen by nobody")
class Crashes(TaskBase):
    def run(self): os.close(2); os.kill(os.getpid(), 11)
class Vanishes(TaskBase):
    def run(self): os._exit(0)
class ExitsInInit(TaskBase):
    def __init__(self, **_): sys.exit(0)
    def run(self): pass
class ExitsInEnter(Task):
    def __enter__(self): sys.exit(0)
class ExitsInPreRun(Task):
    def pre_run(self): sys.exit(0)
class ExitsInRun(TaskBase):
    def run(self): sys.exit(0)
class HidesFailure(TaskBase):
    def run(self): raise FrameError("no image")
    def __exit__(self, *_): sys.exit(0)
class Sleeps(TaskBase):
    def run(self): self.wait_for_frames()
    def wait_for_frames(self): print("READY", flush=True); time.sleep(60)
class Parameters(TaskBase):
    def run(self): print("GOT", self.parameters, self.try_number, self)
class Chatty(TaskBase):
    def run(self):
        logging.getLogger("instrument").warning("two\\nlines \\udcff")
        logging.getLogger("instrument").info("y" * 200_000)
        logging.getLogger("instrument").debug("hidden")
""".replace("class FrameError", "from dkist_task import TaskSkipped\nclass FrameError", 1)


@pytest.fixture
def outcome_file(tmp_path: Path) -> Path:
    """Return where the launcher is asked to write the outcome."""
    return tmp_path / "outcome.json"


def run(launch: Launcher, file: Path, task: str, **environment: str) -> tuple[Launched, dict[str, Any]]:
    """Run a task of `TASKS` and return its end and its outcome, empty where it left none."""
    ended = launch(TASKS, task, DKIST_OUTCOME_FILE=str(file), **environment)
    return ended, json.loads(file.read_text()) if file.exists() else {}


def records(text: str) -> list[dict[str, str]]:
    """Return the records of a log."""
    return [json.loads(line[1:]) for line in text.split("\n") if line.startswith("\x1e")]


def test_a_success_is_written_with_what_it_cost(launch: Launcher, outcome_file: Path) -> None:
    """A finished task leaves *success*, its memory and its CPU time, and no unfinished file."""
    ended, outcome = run(launch, outcome_file, "Task")
    assert ended.status == 0, ended.log
    assert outcome["result"] == "success"
    assert outcome["error_type"] is outcome["error"] is outcome["traceback"] is outcome["reason"] is None
    assert outcome["peak_memory_bytes"] > 2**20
    assert outcome["cpu_seconds"] > 0
    assert outcome["action"] == "run"
    assert list(outcome_file.parent.glob("outcome*")) == [outcome_file]


def test_a_rollback_is_written_too(launch: Launcher, outcome_file: Path) -> None:
    """The action of the outcome is what was asked for."""
    launch(TASKS, "Task", "rollback", DKIST_OUTCOME_FILE=str(outcome_file))
    outcome = json.loads(outcome_file.read_text())
    assert (outcome["result"], outcome["action"]) == ("success", "rollback")


def test_a_failure_is_the_tasks_own(launch: Launcher, outcome_file: Path) -> None:
    """Type, text and reason are the task's, and the traceback begins at its first frame."""
    ended, outcome = run(launch, outcome_file, "Fails")
    assert ended.status == 1
    assert outcome["result"] == "failure"
    assert outcome["error_type"] == "tasks.FrameError"
    assert outcome["error"] == "observe_0005.fits holds no image"
    assert outcome["reason"] == "FrameError: observe_0005.fits holds no image"
    assert "tasks.py" in outcome["traceback"].splitlines()[1]
    assert "dkist_task" not in outcome["traceback"]
    assert ended.log.count("Traceback") == 1
    assert outcome["traceback"] in ended.log


def test_debug_shows_the_launchers_frames(launch: Launcher, outcome_file: Path) -> None:
    """At the level DEBUG nothing of a traceback is hidden."""
    _, outcome = run(launch, outcome_file, "Fails", DKIST_LOG_LEVEL="debug")
    assert "dkist_task" in outcome["traceback"].splitlines()[1]


@pytest.mark.parametrize(
    "task", ["ConfiguresLogging", "DisablesLogging", "LogsToFile", "ClosesStreams", "RedirectsStreams"]
)
@pytest.mark.parametrize("form", ["records", "json", ""])
def test_the_failure_reaches_the_log_whatever_the_task_did_to_it(
    launch: Launcher, outcome_file: Path, task: str, form: str
) -> None:
    """The launcher's last words and one traceback are in the log, and the outcome is the task's own error."""
    ended, outcome = run(launch, outcome_file, task, DKIST_LOG_FORMAT=form)
    assert ended.status == 1
    assert ended.log.count("Traceback") == 1
    assert "FrameError: no image" in ended.log
    assert outcome["reason"] == "FrameError: no image"


def test_an_error_without_a_text_is_named(launch: Launcher, outcome_file: Path) -> None:
    """An exception whose ``__str__`` raises ends the task as any other does."""
    ended, outcome = run(launch, outcome_file, "NoText")
    assert ended.status == 1
    assert outcome["error_type"].endswith("Silent")
    assert "__str__ raises" in outcome["error"]
    assert ended.log.count("Traceback") == 1


def test_a_huge_error_is_cut(launch: Launcher, outcome_file: Path) -> None:
    """Ten megabytes of text make neither a large outcome nor a long record."""
    ended, outcome = run(launch, outcome_file, "Huge", DKIST_LOG_FORMAT="records")
    assert "characters cut" in outcome["error"]
    assert outcome_file.stat().st_size < 100_000
    assert max(map(len, ended.log.splitlines())) <= 60_000


def test_a_crash_shows_its_frames_and_leaves_no_outcome(launch: Launcher, outcome_file: Path) -> None:
    """A segmentation fault is shown by `faulthandler`, on the log that the task has closed."""
    ended, outcome = run(launch, outcome_file, "Crashes")
    assert ended.status == -signal.SIGSEGV
    assert "Segmentation fault" in ended.errors
    assert "in run" in ended.errors
    assert outcome == {}


def test_a_task_that_vanishes_leaves_no_outcome(launch: Launcher, outcome_file: Path) -> None:
    """By ``os._exit(0)`` a task says nothing, which the runner takes for a failure."""
    ended, outcome = run(launch, outcome_file, "Vanishes")
    assert (ended.status, outcome) == (0, {})


@pytest.mark.parametrize("task", ["ExitsInInit", "ExitsInEnter", "ExitsInPreRun"])
def test_an_exit_before_the_work_is_a_failure(launch: Launcher, outcome_file: Path, task: str) -> None:
    """Whoever exits with 0 before ``run`` is entered has not done the work."""
    ended, outcome = run(launch, outcome_file, task)
    assert ended.status == 1
    assert outcome["result"] == "failure"
    assert outcome["reason"] == "exited with 0 before run was entered"


def test_an_exit_on_import_is_a_failure(launch: Launcher, outcome_file: Path) -> None:
    """A module that exits with 0 has not even defined its task."""
    ended = launch("sys.exit(0)", DKIST_OUTCOME_FILE=str(outcome_file))
    assert ended.status == 1
    assert json.loads(outcome_file.read_text())["result"] == "failure"


def test_an_exit_with_0_during_the_work_is_a_success(launch: Launcher, outcome_file: Path) -> None:
    """In ``run`` a task may leave by ``sys.exit(0)``."""
    ended, outcome = run(launch, outcome_file, "ExitsInRun")
    assert (ended.status, outcome["result"]) == (0, "success")


def test_an_exit_with_0_while_cleaning_up_hides_no_failure(launch: Launcher, outcome_file: Path) -> None:
    """The error of ``run`` counts, though ``__exit__`` exits with 0."""
    ended, outcome = run(launch, outcome_file, "HidesFailure")
    assert ended.status == 1
    assert outcome["error_type"] == "tasks.FrameError"


def test_a_closed_stream_does_not_fail_a_task(launch: Launcher, outcome_file: Path) -> None:
    """A task that closes its standard error, logs and returns has succeeded, and both records arrive."""
    ended, outcome = run(launch, outcome_file, "ClosesAndSucceeds")
    assert (ended.status, outcome["result"]) == (0, "success")
    assert "unseen by nobody" in ended.errors
    assert "success" in ended.errors


def test_a_skip_is_no_failure(launch: Launcher, outcome_file: Path, collector: Collector) -> None:
    """A skipped task exits with 0; outcome, log, span and metric say that it was skipped, and no span is an error."""
    ended, outcome = run(launch, outcome_file, "Skips", OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert ended.status == 0, ended.log
    assert (outcome["result"], outcome["reason"]) == ("skip", "no polarimetric data")
    assert outcome["error_type"] is None
    assert "skip: no polarimetric data" in ended.errors
    found = values(collector.span("Skips").attributes)
    assert found["cicd.pipeline.task.run.result"] == "skip"
    assert found["dkist.task.skip_reason"] == "no polarimetric data"
    assert all(span.status.code == 0 for span in collector.spans())
    (count,) = collector.metric("dkist.task.runs").sum.data_points
    assert values(count.attributes)["cicd.pipeline.task.run.result"] == "skip"


@pytest.mark.parametrize(("stop", "result"), [("timeout", "timeout"), ("cancellation", "cancellation")])
def test_a_stop_is_what_the_stop_file_says(
    launch: Launcher, tmp_path: Path, collector: Collector, stop: str, result: str
) -> None:
    """Outcome, log, span and metric name the stop and its text, and the log has where the task was."""
    outcome_file = tmp_path / "outcome.json"
    (tmp_path / "stop.json").write_text(json.dumps({"stop": stop, "text": "execution_timeout of 600 s"}))
    process = launch.start(
        TASKS,
        "Sleeps",
        DKIST_OUTCOME_FILE=str(outcome_file),
        DKIST_STOP_FILE=str(tmp_path / "stop.json"),
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
    )
    ended = terminate(launch, process)
    assert ended.status == -signal.SIGTERM, ended.log
    outcome = json.loads(outcome_file.read_text())
    assert (outcome["result"], outcome["reason"]) == (result, "execution_timeout of 600 s")
    assert f"{result}: execution_timeout of 600 s" in ended.errors
    assert "in wait_for_frames" in ended.errors
    assert "Traceback" not in ended.errors
    assert values(collector.span("Sleeps").attributes)["cicd.pipeline.task.run.result"] == result
    (count,) = collector.metric("dkist.task.runs").sum.data_points
    assert values(count.attributes)["cicd.pipeline.task.run.result"] == result


@pytest.mark.parametrize("content", [None, "", "[]", '{"stop": 3}', "{"])
def test_an_unreadable_stop_file_is_a_cancellation(
    launch: Launcher, outcome_file: Path, tmp_path: Path, content: str | None
) -> None:
    """Whatever lies there, a stopped task is cancelled and says so."""
    if content is not None:
        (tmp_path / "stop.json").write_text(content)
    process = launch.start(
        TASKS, "Sleeps", DKIST_OUTCOME_FILE=str(outcome_file), DKIST_STOP_FILE=str(tmp_path / "stop.json")
    )
    ended = terminate(launch, process)
    assert ended.status == -signal.SIGTERM, ended.log
    assert json.loads(outcome_file.read_text())["result"] == "cancellation"


def test_a_refused_request_is_an_error(launch: Launcher, outcome_file: Path) -> None:
    """An unusable request leaves *error* with the reason, before and after the task's module is looked for."""
    for task in ("Missing", "not-a-name"):
        ended, outcome = run(launch, outcome_file, task)
        assert ended.status == 2
        assert outcome["result"] == "error"
        assert task in outcome["reason"]
        outcome_file.unlink()


def test_an_outcome_that_cannot_be_written_is_reported(launch: Launcher, tmp_path: Path) -> None:
    """A missing folder does not change how the task ends, and the log names it."""
    ended, _ = run(launch, tmp_path / "nowhere" / "outcome.json", "Task")
    assert ended.status == 0
    assert "the outcome file cannot be written" in ended.errors


def test_records_keep_level_and_logger(launch: Launcher, outcome_file: Path, collector: Collector) -> None:
    """A record is one line with level, logger, message, time and the ids of its span, and never too long."""
    ended, _ = run(
        launch,
        outcome_file,
        "Chatty",
        DKIST_LOG_FORMAT="records",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
    )
    assert ended.status == 0, ended.log
    first, long, last = records(ended.errors)
    assert (first["level"], first["logger"], first["message"]) == ("WARNING", "instrument", "two\nlines ?")
    assert first["span_id"] == collector.span("run").span_id.hex()
    assert "characters cut" in long["message"]
    assert (last["level"], last["logger"], last["message"]) == ("INFO", "dkist_task", "success")
    assert all(len(line.encode()) <= 60_000 for line in ended.errors.split("\n"))


def test_parameters_reach_task_and_span(launch: Launcher, outcome_file: Path, collector: Collector) -> None:
    """A run's parameters are the task's and attributes of its span."""
    ended, _ = run(
        launch,
        outcome_file,
        "Parameters",
        DKIST_PARAMETERS='{"threshold": 0.5, "arm": "red"}',
        DKIST_TRY_NUMBER="2",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
    )
    assert ended.status == 0, ended.log
    assert "GOT {'threshold': 0.5, 'arm': 'red'} 2 Parameters(recipe_run_id=7, workflow_name=" in ended.output
    found = values(collector.span("Parameters").attributes)
    assert (found["dkist.parameter.threshold"], found["dkist.parameter.arm"]) == (0.5, "red")


@pytest.mark.parametrize("text", ["{", "[]", '{"a": [1]}', '{"a b": 1}', '{"a": NaN}', '{"a": null}'])
def test_unusable_parameters_refuse_the_request(launch: Launcher, outcome_file: Path, text: str) -> None:
    """What cannot be a parameter is one line and status 2."""
    ended, outcome = run(launch, outcome_file, "Parameters", DKIST_PARAMETERS=text)
    assert ended.status == 2
    assert len(ended.errors.splitlines()) == 1
    assert "DKIST_PARAMETERS" in outcome["reason"]


@pytest.mark.parametrize(
    ("variables", "warning"),
    [
        ({"OTEL_PYTHON_TRACER_PROVIDER": "absent"}, "OTEL_PYTHON_TRACER_PROVIDER='absent' is ignored"),
        ({"OTEL_PYTHON_METER_PROVIDER": "absent"}, "OTEL_PYTHON_METER_PROVIDER='absent' is ignored"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "1e20"}, "is too large"),
    ],
)
def test_wrong_telemetry_settings_are_one_warning(
    launch: Launcher, outcome_file: Path, collector: Collector, variables: dict[str, str], warning: str
) -> None:
    """A setting that OpenTelemetry would raise an error for costs a line of the log, and no span."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, **variables}
    ended, outcome = run(launch, outcome_file, "Task", **variables)
    assert (ended.status, outcome["result"]) == (0, "success"), ended.log
    assert ended.log.count(warning) == ended.log.count("WARNING") == 1
    assert [span.name for span in collector.spans()][-1] == "Task"


def test_a_no_op_meter_provider_of_a_package_is_reported(
    launch: Launcher, tmp_path: Path, collector: Collector
) -> None:
    """A package that switches metrics off on import costs one warning, and spans are still kept."""
    code = """
from opentelemetry import metrics
metrics.set_meter_provider(metrics.NoOpMeterProvider())
class Task(TaskBase):
    def run(self): pass
"""
    spans = tmp_path / "spans"
    ended = launch(code, DKIST_SPAN_FOLDER=str(spans), OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert ended.status == 0, ended.log
    assert ended.log.count("no metrics are recorded") == ended.log.count("WARNING") == 1
    assert '"name":"Task"' in next(spans.rglob("*.jsonl")).read_text()


def test_a_task_has_the_name_that_its_workflow_gives_it(launch: Launcher, collector: Collector) -> None:
    """``DKIST_TASK_NAME`` names the task of ``DKIST_TASK`` in its log and span, and no other task that it makes."""
    code = """
class Other(TaskBase):
    def run(self): pass
class Task(Other):
    def run(self):
        other = Other(self.recipe_run_id, self.workflow_name, self.workflow_version)
        print("NAMES", self.task_name, other.task_name)
"""
    ended = launch.from_environment(code, DKIST_TASK_NAME="CopyDarks", OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert ended.status == 0, ended.log
    assert "run tasks:Task as CopyDarks\n" in ended.output
    assert "NAMES CopyDarks Other" in ended.output
    assert values(collector.span("CopyDarks").attributes)["cicd.pipeline.task.name"] == "CopyDarks"
    (count,) = collector.metric("dkist.task.runs").sum.data_points
    assert values(count.attributes)["cicd.pipeline.task.name"] == "CopyDarks"


def test_a_task_that_is_named_as_an_argument_keeps_its_own_name(launch: Launcher) -> None:
    """``DKIST_TASK_NAME`` does not name another class than that of ``DKIST_TASK``."""
    code = "class Task(TaskBase):\n    def run(self): print('NAME', self.task_name)\n"
    ended = launch(code, DKIST_TASK="other:Copy", DKIST_TASK_NAME="CopyDarks")
    assert "NAME Task" in ended.output, ended.log


def test_a_stack_is_reported_while_native_code_runs(launch: Launcher, outcome_file: Path) -> None:
    """Where native code holds the main thread, the log says so while it runs."""
    code = """
import hashlib, threading
class Task(TaskBase):
    def run(self):
        threading.Timer(0.3, os.kill, (os.getpid(), 15)).start()
        self.derive()
    def derive(self): hashlib.pbkdf2_hmac("sha256", b"p", b"s", 12_000_000)
"""
    ended = launch(code, DKIST_OUTCOME_FILE=str(outcome_file))
    assert ended.status == -signal.SIGTERM, ended.log
    assert ended.errors.count("the task was here") == 1
    assert "in derive" in ended.errors
    assert json.loads(outcome_file.read_text())["result"] == "cancellation"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_stop_reaches_the_spans_of_children(
    launch: Launcher, tmp_path: Path, collector: Collector, method: str
) -> None:
    """A child that is stopped because the time is up sends its open spans, and dies of SIGTERM."""
    (tmp_path / "stop.json").write_text('{"stop": "timeout", "text": "execution_timeout of 600 s"}')
    code = """
import multiprocessing
class Task(TaskBase):
    def child(self):
        with self.telemetry_span("open"):
            print("READY", flush=True)
            time.sleep(60)
    def run(self):
        child = multiprocessing.get_context(os.environ["METHOD"]).Process(target=self.child)
        child.start()
        child.join()
"""
    process = launch.start(
        code,
        DKIST_STOP_FILE=str(tmp_path / "stop.json"),
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        METHOD=method,
    )
    ended = terminate(launch, process)
    assert ended.status == -signal.SIGTERM, ended.log
    assert collector.span("open").status.code == 2
    assert values(collector.span("Task").attributes)["cicd.pipeline.task.run.result"] == "timeout"


def test_no_op_providers_of_a_package_are_reported(launch: Launcher, tmp_path: Path) -> None:
    """A package that switches spans off on import does not do so in silence."""
    code = """
from opentelemetry import trace
trace.set_tracer_provider(trace.NoOpTracerProvider())
class Task(TaskBase):
    def run(self): pass
"""
    ended = launch(code, DKIST_SPAN_FOLDER=str(tmp_path / "spans"))
    assert ended.status == 0, ended.log
    assert ended.log.count("no spans are recorded") == ended.log.count("WARNING") == 1
