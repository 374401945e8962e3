"""What a real OTLP/HTTP receiver gets from tasks that run in processes of their own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from dkist_task.telemetry.exporters import make_exporters
from tests.dkist_task.conftest import Collector, Launcher, values

STEPS = """
class Task(TaskBase):
    def pre_run(self): pass
    def run(self):
        with self.telemetry_span("read"):
            with self.telemetry_span(name="decode", attributes={"frames": 3}) as span:
                span.set_attribute("kept", True)
    def post_run(self): pass
    def rollback(self):
        with self.telemetry_span("undo"): pass
class Next(Task):
    pass
"""


def test_a_run_is_a_root_span_with_its_stages_below(collector: Collector, launch: Launcher) -> None:
    """Root, stages and the task's own spans form one tree with the names of the conventions."""
    ended = launch(STEPS, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, DKIST_TRY_NUMBER="2")
    assert ended.status == 0, ended.log
    root = collector.span("Task")
    assert values(root.attributes) == {
        "cicd.pipeline.name": "vbi_l0_to_l1",
        "cicd.pipeline.run.id": "7",
        "cicd.pipeline.task.name": "Task",
        "cicd.pipeline.task.run.id": "7/Task/2",
        "cicd.pipeline.task.run.result": "success",
        "dkist.workflow.version": "1.2.0",
        "dkist.recipe_run.id": 7,
        "dkist.task.try_number": 2,
    }
    for stage in ("pre_run", "run", "post_run"):
        span = collector.span(stage)
        assert span.parent_span_id == root.span_id
        assert values(span.attributes) == {"code.function.name": f"tasks.Task.{stage}"}
    assert collector.span("read").parent_span_id == collector.span("run").span_id
    decode = collector.span("decode")
    assert decode.parent_span_id == collector.span("read").span_id
    assert values(decode.attributes) == {"frames": 3, "kept": True}
    assert {span.trace_id for span in collector.spans()} == {root.trace_id}
    assert {span.status.code for span in collector.spans()} == {Status.STATUS_CODE_UNSET}


def test_separate_processes_of_a_run_share_a_trace(collector: Collector, launch: Launcher) -> None:
    """Without an engine's trace, the tasks of one run derive one trace and one parent."""
    for task in ("Task", "Next"):
        assert launch(STEPS, task, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint).status == 0
    first, second = collector.span("Task"), collector.span("Next")
    assert first.trace_id == second.trace_id
    assert first.parent_span_id == second.parent_span_id
    assert first.span_id != second.span_id


def test_a_task_joins_the_engines_trace(collector: Collector, launch: Launcher) -> None:
    """With ``TRACEPARENT`` the root span hangs under the engine's span."""
    ended = launch(
        STEPS,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        TRACEPARENT=f"00-{'a' * 32}-{'b' * 16}-01",
        TRACESTATE="vendor=1",
    )
    assert ended.status == 0, ended.log
    root = collector.span("Task")
    assert (root.trace_id.hex(), root.parent_span_id.hex(), root.trace_state) == ("a" * 32, "b" * 16, "vendor=1")


@pytest.mark.parametrize(
    "traceparent", [f"00-{'a' * 32}-{'b' * 16}-00", "nonsense", "", f"00-{'0' * 32}-{'b' * 16}-01"]
)
def test_an_engine_that_does_not_trace_drops_nothing(collector: Collector, launch: Launcher, traceparent: str) -> None:
    """A parent that is not sampled, or none at all, leaves every span in the run's own trace."""
    ended = launch(STEPS, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, TRACEPARENT=traceparent)
    assert ended.status == 0, ended.log
    assert len(collector.spans()) == 6
    assert collector.span("Task").trace_id.hex() != "a" * 32


def test_a_sampler_that_was_asked_for_is_obeyed(collector: Collector, launch: Launcher) -> None:
    """``OTEL_TRACES_SAMPLER`` decides over derived traces, and makes an engine's decision count."""
    endpoint = collector.endpoint
    launch(STEPS, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_TRACES_SAMPLER="parentbased_always_off")
    launch(
        STEPS,
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        OTEL_TRACES_SAMPLER="parentbased_always_on",
        TRACEPARENT=f"00-{'a' * 32}-{'b' * 16}-00",
    )
    assert collector.spans() == []


def test_a_rollback_has_a_span_of_its_own(collector: Collector, launch: Launcher) -> None:
    """The launcher's rollback sends spans of the rollback, and counts no run."""
    ended = launch(STEPS, action="rollback", OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert ended.status == 0, ended.log
    assert [span.name for span in collector.spans()] == ["undo", "rollback", "Task rollback"]
    assert collector.span("undo").parent_span_id == collector.span("rollback").span_id
    assert all(b"dkist.task.runs" not in body for path, body in collector.requests if path == "/v1/metrics")


FAILURES = """
class Odd(BaseException): pass
class Raises(TaskBase):
    def run(self): raise ValueError("bad frame")
class Exits(TaskBase):
    def run(self): sys.exit(99)
class ExitsClean(TaskBase):
    def run(self): sys.exit(0)
class Interrupted(TaskBase):
    def run(self): raise KeyboardInterrupt
class TimesOut(TaskBase):
    def run(self): raise TimeoutError("no answer")
class RaisesOdd(TaskBase):
    def run(self): raise Odd
class RaisesInInit(TaskBase):
    def __init__(self, **_): raise RuntimeError("no scratch")
    def run(self): pass
class RaisesInExit(TaskBase):
    def run(self): pass
    def __exit__(self, *_): raise OSError("cannot clean")
class Unprintable(TaskBase):
    def run(self):
        class Broken(Exception):
            def __str__(self): raise RuntimeError("no text")
        raise Broken
"""


@pytest.mark.parametrize(
    ("task", "status", "result", "error_type"),
    [
        ("Raises", 1, "failure", "ValueError"),
        ("Exits", 1, "failure", "SystemExit"),
        ("ExitsClean", 0, "success", None),
        ("Interrupted", 1, "cancellation", "KeyboardInterrupt"),
        ("TimesOut", 1, "timeout", "TimeoutError"),
        ("RaisesOdd", 1, "failure", "tasks.Odd"),
        ("RaisesInInit", 1, "failure", "RuntimeError"),
        ("RaisesInExit", 1, "failure", "OSError"),
        ("Unprintable", 1, "failure", "tasks.Unprintable.run.<locals>.Broken"),
    ],
)
def test_span_metric_and_status_agree(
    collector: Collector, launch: Launcher, task: str, status: int, result: str, error_type: str | None
) -> None:
    """However a task ends, its exit status, its root span and the count of runs agree."""
    ended = launch(FAILURES, task, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert ended.status == status, ended.log
    root = collector.span(task)
    attributes = values(root.attributes)
    assert attributes["cicd.pipeline.task.run.result"] == result
    assert attributes.get("error.type") == error_type
    assert root.status.code == (Status.STATUS_CODE_ERROR if error_type else Status.STATUS_CODE_UNSET)
    (count,) = collector.metric("dkist.task.runs").sum.data_points
    counted = values(count.attributes)
    assert (counted["cicd.pipeline.task.run.result"], counted.get("error.type")) == (result, error_type)
    assert (counted["cicd.pipeline.name"], counted["cicd.pipeline.task.name"]) == ("vbi_l0_to_l1", task)
    assert ended.log.count("Traceback (most recent call last)") == (0 if "Exits" in task else 1)


def test_a_status_that_the_task_set_is_kept(collector: Collector, launch: Launcher) -> None:
    """What a task says of its own span outlives the exception that follows."""
    code = """
from opentelemetry.trace import StatusCode
class Task(TaskBase):
    def run(self):
        with self.telemetry_span("seeing") as span:
            span.set_status(StatusCode.ERROR, "clouds")
            raise ValueError("no sun")
"""
    assert launch(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint).status == 1
    assert collector.span("seeing").status.message == "clouds"
    assert collector.span("run").status.message == "ValueError: no sun"


def test_overridden_hooks_lose_nothing(collector: Collector, launch: Launcher) -> None:
    """A task that overrides every hook and calls no parent's still has its spans, its count and its outcome."""
    code = """
class Task(TaskBase):
    def __init__(self, **parameters): self.parameters = parameters
    def __enter__(self): pass
    def __exit__(self, *error):
        with self.telemetry_span("teardown"): pass
    def __call__(self): self.run()
    def pre_run(self): pass
    def run(self):
        with self.telemetry_span("work"): raise ValueError("seen")
"""
    ended = launch(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert ended.status == 1, ended.log
    assert [span.name for span in collector.spans()] == ["work", "run", "teardown", "Task"]
    root = collector.span("Task")
    assert {collector.span(name).parent_span_id for name in ("run", "teardown")} == {root.span_id}
    assert values(root.attributes)["cicd.pipeline.task.run.result"] == "failure"
    assert collector.metric("dkist.task.runs").sum.data_points[0].as_int == 1


def test_a_stage_that_calls_its_parents_is_one_span(collector: Collector, launch: Launcher) -> None:
    """``super().run()`` is part of the run, not another one."""
    code = """
class Base(TaskBase):
    def run(self): pass
class Task(Base):
    def run(self):
        super().run()
        super().run()
    def __call__(self): super().__call__()
"""
    assert launch(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint).status == 0
    assert [span.name for span in collector.spans()] == ["pre_run", "run", "post_run", "Task"]


def test_metrics_hold_what_a_run_cost(collector: Collector, launch: Launcher) -> None:
    """Duration, CPU time and the process's own peak memory arrive, and so do the task's own instruments."""
    code = """
class Task(TaskBase):
    def run(self):
        held = bytearray(200 * 2**20)
        self.meter.create_counter("frames").add(3)
        until = time.process_time() + 0.3
        while time.process_time() < until: pass
"""
    ballast = bytearray(600 * 2**20)  # what a process inherits by ru_maxrss from the one that starts it
    ended = launch(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert ended.status == 0, ended.log
    del ballast
    (duration,) = collector.metric("dkist.task.duration").histogram.data_points
    assert 0.3 <= duration.sum < 30
    assert list(duration.explicit_bounds)[::15] == [1, 43200]
    cpu = {values(p.attributes)["cpu.mode"]: p.as_double for p in collector.metric("process.cpu.time").sum.data_points}
    assert 0.28 <= cpu["user"] + cpu["system"] < 30  # the kernel counts in steps of 10 ms
    (memory,) = collector.metric("dkist.task.memory.peak").histogram.data_points
    assert 200 * 2**20 < memory.sum < 500 * 2**20
    assert collector.metric("frames").sum.data_points[0].as_int == 3


@pytest.mark.parametrize(
    ("variables", "service"),
    [
        ({}, "vbi_l0_to_l1"),
        ({"OTEL_SERVICE_NAME": "mine"}, "mine"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=ours,site=maui"}, "ours"),
    ],
)
def test_the_service_is_the_workflow_unless_the_user_sets_it(
    collector: Collector, launch: Launcher, variables: dict[str, str], service: str
) -> None:
    """``service.name`` is the workflow; the user's own variables win."""
    launch(STEPS, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, **variables)
    resource = collector.resource()
    assert (resource["service.name"], resource["service.version"]) == (service, "1.2.0")
    assert resource.get("site") == ("maui" if "OTEL_RESOURCE_ATTRIBUTES" in variables else None)


def test_an_applications_own_provider_is_left_alone(launch: Launcher) -> None:
    """A package that sets a provider on import keeps it, and gets the task's spans."""
    code = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
import atexit
atexit.register(lambda: print("KEPT", [span.name for span in exporter.get_finished_spans()]))
class Task(TaskBase):
    def run(self):
        assert trace.get_tracer_provider() is provider
"""
    ended = launch(code, OTEL_TRACES_EXPORTER="console")
    assert ended.status == 0, ended.log
    assert "KEPT ['pre_run', 'run', 'post_run', 'Task']" in ended.output
    assert "Overriding" not in ended.log


INSTRUMENTED = """
class Task(TaskBase):
    def run(self):
        import library
        library.work()
"""


@pytest.fixture
def library(launch: Launcher) -> None:
    """Provide a library with a published instrumentor, which adds a span, and one whose instrumentor fails."""
    (launch.folder / "library.py").write_text(
        "from contextlib import nullcontext as span\n"
        "def work():\n"
        "    with span('library'): pass\n"
        "class Instrumentor:\n"
        "    is_instrumented_by_opentelemetry = False\n"
        "    def instrument(self, **arguments):\n"
        "        from opentelemetry import trace\n"
        "        global span\n"
        "        span = trace.get_tracer('library').start_as_current_span\n"
        "class Broken:\n"
        "    def __init__(self): raise OSError('no such library')\n"
    )
    installed = launch.folder / "library-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: library\nVersion: 1\n")
    points = "[opentelemetry_instrumentor]\nlibrary = library:Instrumentor\nbroken = library:Broken\n"
    (installed / "entry_points.txt").write_text(points)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("asked", ["library", "all", " library , library"])
def test_one_variable_instruments_libraries(collector: Collector, launch: Launcher, asked: str) -> None:
    """The spans of a library that was asked for hang under the task's, by the standard entry points."""
    ended = launch(INSTRUMENTED, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, DKIST_INSTRUMENT=asked)
    assert ended.status == 0, ended.log
    assert collector.span("library").parent_span_id == collector.span("run").span_id
    assert "DKIST_INSTRUMENT" not in ended.log


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("asked", "warning"),
    [
        ("unheard", "DKIST_INSTRUMENT='unheard': no such instrumentor is installed (installed: "),
        ("broken", "DKIST_INSTRUMENT: broken is not instrumented: OSError: no such library"),
    ],
)
def test_library_that_cannot_be_instrumented_is_a_warning(
    collector: Collector, launch: Launcher, asked: str, warning: str
) -> None:
    """A wrong name costs nothing but a line in the log."""
    ended = launch(INSTRUMENTED, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, DKIST_INSTRUMENT=asked)
    assert ended.status == 0, ended.log
    assert warning in ended.log
    assert {span.name for span in collector.spans()} == {"Task", "pre_run", "run", "post_run"}


@pytest.mark.usefixtures("library")
def test_libraries_are_left_alone_otherwise(collector: Collector, launch: Launcher) -> None:
    """Nothing is instrumented that nobody asked for, that is disabled, or whose spans would go nowhere."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
    code = INSTRUMENTED + '        print("ASKED", "dkist_task.telemetry.instrumentation" in sys.modules)\n'
    for variables, is_loaded in (
        (endpoint, False),
        ({"DKIST_INSTRUMENT": "library"}, False),
        ({**endpoint, "DKIST_INSTRUMENT": "all", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "broken, library"}, True),
    ):
        ended = launch(code, **variables)
        assert f"ASKED {is_loaded}" in ended.output, ended.log
    assert "library" not in {span.name for span in collector.spans()}


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_endpoint_without_a_scheme_over_http(collector: Collector, launch: Launcher, variable: str) -> None:
    """``host:port`` reaches a collector that speaks HTTP, where the protocol says so, at the path of the signal."""
    bare = collector.endpoint.removeprefix("http://")
    ended = launch(STEPS, **{variable: bare}, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    assert ended.status == 0, ended.log
    assert collector.span("Task").name == "Task"


def test_endpoint_without_a_scheme_is_for_grpc(launch: Launcher) -> None:
    """``host:port`` reaches a collector that speaks gRPC without encryption, as dkist-processing-core sends to it."""
    received: list[ExportTraceServiceRequest] = []

    class Traces(TraceServiceServicer):
        def Export(self, request: ExportTraceServiceRequest, context: object) -> ExportTraceServiceResponse:  # noqa: ARG002, N802 the interface's
            received.append(request)
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(Traces(), server)  # type: ignore[no-untyped-call] # made without types
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        ended = launch(STEPS, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"127.0.0.1:{port}")
    finally:
        server.stop(None).wait()
    assert ended.status == 0, ended.log
    names = {
        span.name
        for request in received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    assert {"Task", "pre_run", "run", "post_run"} <= names


def test_exporter_of_an_endpoint_without_a_scheme_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the exporter for gRPC the warning says what to write; the port of HTTP means HTTP."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [])
    assert make_exporters("TRACES", {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector.example:4317"}) == []
    assert "has no scheme, so it is an endpoint for gRPC: write http:// and the port for HTTP (4318)" in caplog.text
    caplog.clear()
    assert make_exporters("TRACES", {"OTEL_EXPORTER_OTLP_ENDPOINT": "[::1]:4318"}) == []
    assert "no exporter 'otlp_proto_http' is installed" in caplog.text


def test_attributes_of_a_task_on_its_own_metrics(collector: Collector, launch: Launcher) -> None:
    """A task can put what names it, and its run, on its own metrics and spans."""
    code = """
class Task(TaskBase):
    def run(self):
        self.meter.create_counter("dkist.processing.tasks.reads").add(2, attributes=self.telemetry_attributes)
"""
    ended = launch(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert ended.status == 0, ended.log
    (point,) = collector.metric("dkist.processing.tasks.reads").sum.data_points
    root = values(collector.span("Task").attributes)
    assert values(point.attributes).items() <= root.items()
    assert values(point.attributes)["dkist.recipe_run.id"] == 7


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_TRACES_EXPORTER": "unheard"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "not a url"},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_MAX_QUEUE_SIZE": "-3", "OTEL_BSP_SCHEDULE_DELAY": "soon"},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "sometimes"},
        {"OTEL_METRICS_EXPORTER": "unheard,none"},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_RESOURCE_ATTRIBUTES": "=,x,=="},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_COMPRESSION": "brick"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:1", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere.pem"},
        {"DKIST_SPAN_FOLDER": "/proc/nowhere"},
    ],
)
def test_a_wrong_setting_never_fails_a_task(launch: Launcher, variables: dict[str, str]) -> None:
    """What is wrong with telemetry is a line in the log, without a traceback."""
    ended = launch(STEPS, **variables)
    assert ended.status == 0, ended.log
    assert "Traceback" not in ended.log
    assert len(ended.errors.splitlines()) < 6, ended.errors


def test_disabled_means_nothing_is_set_up(launch: Launcher) -> None:
    """Under ``OTEL_SDK_DISABLED`` and without an exporter the SDK is not even imported."""
    code = (
        STEPS
        + """
class Bare(TaskBase):
    def run(self): print("SDK", "opentelemetry.sdk" in sys.modules)
"""
    )
    for variables in (
        {},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"},
        {"OTEL_TRACES_EXPORTER": "none"},
    ):
        ended = launch(code, "Bare", **variables)
        assert "SDK False" in ended.output, ended.log


def test_hostile_names_and_values_cost_no_other_span(collector: Collector, launch: Launcher) -> None:
    """What cannot be encoded is sent as text, with the spans around it."""
    code = """
class Task(TaskBase):
    def run(self):
        with self.telemetry_span("line\\nbreak \\u03b1"): pass
        with self.telemetry_span("half \\udcff pair"): pass
        with self.telemetry_span("odd", {"lambda": lambda: 0, "huge": 10**30, "half": "\\udcff"}): pass
        raise OSError("no file \\udcff")
"""
    ended = launch(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert ended.status == 1, ended.log
    assert collector.span("line\nbreak \u03b1").kind == collector.span("half ? pair").kind
    assert values(collector.span("odd").attributes)["huge"] == "1" + "0" * 30
    assert collector.span("Task").status.message == "OSError: no file ?"
