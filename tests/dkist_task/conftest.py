"""A collector that receives what a task sends, and the launcher that runs the task."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from harness.coverage import coverage_settings

PARAMETERS = ("--recipe-run-id", "7", "--workflow-name", "vbi_l0_to_l1", "--workflow-version", "1.2.0")


@dataclass
class Collector:
    """An OTLP/HTTP receiver on this machine, and what it received."""

    endpoint: str = ""
    requests: list[tuple[str, bytes]] = field(default_factory=list)

    def spans(self) -> list[Span]:
        """Return every span received, in the order of their ends."""
        found = [
            span
            for path, body in self.requests
            if path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: span.end_time_unix_nano)

    def span(self, name: str) -> Span:
        """Return the one span of a name."""
        found = [span for span in self.spans() if span.name == name]
        assert len(found) == 1, f"{len(found)} spans {name!r} among {[span.name for span in self.spans()]}"
        return found[0]

    def resource(self) -> dict[str, object]:
        """Return the resource of the first batch of spans."""
        body = next(body for path, body in self.requests if path == "/v1/traces")
        return values(ExportTraceServiceRequest.FromString(body).resource_spans[0].resource.attributes)

    def metric(self, name: str) -> Metric:
        """Return a metric as it was received last."""
        found = [
            metric
            for path, body in self.requests
            if path == "/v1/metrics"
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        assert found, f"no metric {name!r}"
        last: Metric = found[-1]
        return last


def values(attributes: Iterable[KeyValue]) -> dict[str, object]:
    """Return OTLP attributes as a dictionary."""

    def plain(value: AnyValue) -> object:
        return getattr(value, value.WhichOneof("value") or "string_value")

    return {item.key: plain(item.value) for item in attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Run a receiver that accepts everything."""
    received = Collector()

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.requests.append((self.path, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        received.endpoint = f"http://127.0.0.1:{server.server_port}"
        yield received
        server.shutdown()
        thread.join()


@dataclass
class Launched:
    """A launched task that has ended."""

    status: int
    output: str
    errors: str
    seconds: float

    @property
    def log(self) -> str:
        """What the engine's log would hold."""
        return self.output + self.errors


@dataclass
class Launcher:
    """Runs tasks of a module written for a test as an exported DAG does."""

    folder: Path

    def start(self, code: str, task: str = "Task", action: str = "run", **environment: str) -> subprocess.Popen[str]:
        """Start the launcher over `code` and return its process."""
        return self._start(code, [action, f"tasks:{task}", *PARAMETERS], environment)

    def from_environment(self, code: str, **environment: str) -> Launched:
        """Run the launcher over `code` to its end, with variables in place of arguments, and return its end."""
        request = {
            "DKIST_TASK": "tasks:Task",
            "DKIST_RECIPE_RUN_ID": "7",
            "DKIST_WORKFLOW_NAME": "vbi_l0_to_l1",
            "DKIST_WORKFLOW_VERSION": "1.2.0",
        }
        return self.finish(self._start(code, ["run"], request | environment))

    def _start(self, code: str, arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """Write the module and start the launcher."""
        (self.folder / "tasks.py").write_text("import sys, os, time\nfrom dkist_task import TaskBase\n" + code)
        return subprocess.Popen(
            [sys.executable, "-P", "-u", "-m", "dkist_task", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(self.folder),
                "PYTHONFAULTHANDLER": "1",
                **coverage_settings(),
                **environment,
            },
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> Launched:
        """Wait for a process that `start` returned."""
        began = time.monotonic()
        try:
            output, errors = process.communicate(timeout=120)
        finally:
            process.kill()
        return Launched(process.returncode, output, errors, time.monotonic() - began)

    def __call__(self, code: str, task: str = "Task", action: str = "run", **environment: str) -> Launched:
        """Run the launcher over `code` to its end."""
        return self.finish(self.start(code, task, action, **environment))


@pytest.fixture
def launch(tmp_path: Path) -> Launcher:
    """Return the launcher over a module in a folder of the test's own."""
    return Launcher(tmp_path)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """Return a function that waits until a condition is met."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "the condition was not met within 60 s"
            time.sleep(0.02)

    return wait
