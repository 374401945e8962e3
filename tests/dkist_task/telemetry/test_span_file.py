"""Spans in files: alive after every death, and readable by the official decoder."""

from __future__ import annotations

import base64
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format  # type: ignore[import-untyped]  # ships no types
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dkist_task.telemetry.otlp_json import line_of
from tests.dkist_task.conftest import Launcher

CODE = """
import multiprocessing
class Task(TaskBase):
    def item(self):
        with self.telemetry_span("child"): os._exit(7) if self.recipe_run_id < 0 else None
        os._exit(0)
    def run(self):
        with self.telemetry_span("parent"):
            child = multiprocessing.Process(target=self.item)
            child.start(); child.join()
class Killed(TaskBase):
    def run(self):
        with self.telemetry_span("ended"): pass
        with self.telemetry_span("open"):
            os.kill(os.getpid(), 9)
class Left(TaskBase):
    def run(self):
        with self.telemetry_span("ended"): pass
        os._exit(5)
"""


def names_in(folder: Path) -> list[list[str]]:
    """Return the names of the spans in each file of `folder`, the longest list first."""
    files = [[span["name"] for span in spans_in(file)] for file in folder.rglob("*.jsonl")]
    return sorted(files, key=len, reverse=True)


def spans_in(file: Path) -> list[dict[str, Any]]:
    """Return the spans of a file, one a line."""
    lines = [json.loads(line)["resourceSpans"] for line in file.read_text().splitlines()]
    return [resource[0]["scopeSpans"][0]["spans"][0] for resource in lines]


def test_each_process_has_a_file_of_its_own(launch: Launcher, tmp_path: Path) -> None:
    """A task and its child append to two files of their recipe run; the folder is made where it is missing."""
    folder = tmp_path / "spans of a night" / "7"
    ended = launch(CODE, DKIST_SPAN_FOLDER=str(folder))
    assert ended.status == 0, ended.log
    assert names_in(folder) == [["pre_run", "parent", "run", "post_run", "Task"], ["child"]]
    assert [path.name for path in folder.iterdir()] == ["recipe-run-7"]


@pytest.mark.parametrize(("task", "status"), [("Killed", -signal.SIGKILL), ("Left", 5)])
def test_what_ended_survives_every_death(launch: Launcher, tmp_path: Path, task: str, status: int) -> None:
    """SIGKILL and ``os._exit`` cost only what was open."""
    folder = tmp_path / "spans"
    ended = launch(CODE, task, DKIST_SPAN_FOLDER=str(folder))
    assert ended.status == status
    assert names_in(folder) == [["pre_run", "ended"]]


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/dev/null/spans", "/sys", "\n"])
def test_a_folder_that_cannot_be_written_is_one_warning(launch: Launcher, folder: str) -> None:
    """Where spans cannot be kept, the task runs and its log says so once."""
    ended = launch(CODE, DKIST_SPAN_FOLDER=folder)
    assert ended.status == 0, ended.log
    assert ended.log.count("DKIST_SPAN_FOLDER") == (0 if folder == "\n" else 2)  # once in the task, once in its child


def test_a_full_disk_is_one_warning(launch: Launcher, tmp_path: Path) -> None:
    """Where the disk is full, the task runs and its log says so once."""
    code = """
import resource
class Task(TaskBase):
    def run(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        for _ in range(20):
            with self.telemetry_span("more"): pass
"""
    # No coverage in it: coverage's own file of data would meet the limit, too.
    ended = launch(code, DKIST_SPAN_FOLDER=str(tmp_path / "spans"), COVERAGE_PROCESS_START="")
    assert ended.status == 0, ended.log
    assert ended.log.count("DKIST_SPAN_FOLDER") == 1


def test_a_line_is_what_the_official_encoder_sends() -> None:
    """Decoded by protobuf's own reader, a line equals the official encoding of the span."""
    span = made_span()
    decoded = json_format.Parse(json.dumps(in_base64(json.loads(line_of(span)))), ExportTraceServiceRequest())
    written = decoded.resource_spans[0].scope_spans[0].spans[0]
    # The specification has trace flags there, and a link's trace state; the official encoder leaves them out.
    for message in (written, *written.links):
        message.flags &= ~0xFF
    written.links[0].trace_state = ""
    assert decoded == encode_spans([span])


def made_span() -> ReadableSpan:
    """Return a span that uses every part of the format."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "w"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    remote = trace.SpanContext(
        5, 6, is_remote=True, trace_flags=trace.TraceFlags(1), trace_state=trace.TraceState([("vendor", "1")])
    )
    context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    span = provider.get_tracer("scope", "1.0").start_span(
        "\u03b1\n'name'", context, links=[trace.Link(remote, {"a": 1})]
    )
    span.set_attributes(
        {
            "text": "\u03b2",
            "int": -(2**62),
            "float": 0.5,
            "nan": float("inf"),
            "bool": True,
            "list": [1, 2],
            "mixed": ["a"],
        }
    )
    span.set_attribute("bytes", b"\x00\xff")
    span.add_event("event", {"count": 1}, timestamp=77)
    span.set_status(trace.StatusCode.ERROR, "why")
    span.end()
    return exporter.get_finished_spans()[0]


def in_base64(message: Any) -> Any:
    """Return `message` with ids as protobuf's reader wants them: OTLP's are hexadecimal."""
    if isinstance(message, list):
        return [in_base64(item) for item in message]
    if isinstance(message, dict):
        return {
            key: base64.b64encode(bytes.fromhex(item)).decode() if key.endswith(("Id",)) else in_base64(item)
            for key, item in message.items()
        }
    return message
