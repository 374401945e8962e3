"""The log of a task, as an engine reads it from the launcher's two streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.dkist_task.conftest import Collector, Launcher

CHATTY = """
import logging
class Task(TaskBase):
    def run(self):
        print("printed")
        logging.getLogger("instrument").info("noted\\nin two lines")
        with self.telemetry_span("inner"):
            logging.getLogger("instrument").warning("inside %s", "inner")
class Fails(TaskBase):
    def run(self):
        raise ValueError("bad frame")
"""


def records(text: str) -> list[dict[str, str]]:
    """Return the JSON lines of a log."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_json_lines_carry_the_ids_of_their_span(collector: Collector, launch: Launcher) -> None:
    """By one variable every record is a JSON object that names trace and span."""
    ended = launch(CHATTY, DKIST_LOG_FORMAT="json", OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert ended.status == 0, ended.log
    by_message = {record["message"]: record for record in records(ended.errors)}
    inner = collector.span("inner")
    assert by_message["inside inner"]["trace_id"] == inner.trace_id.hex()
    assert by_message["inside inner"]["span_id"] == inner.span_id.hex()
    assert by_message["inside inner"]["level"] == "WARNING"
    assert by_message["noted\nin two lines"]["span_id"] == collector.span("run").span_id.hex()
    assert records(ended.output)[0]["task"] == "run tasks:Task"


def test_json_lines_name_the_trace_without_an_exporter(launch: Launcher) -> None:
    """The ids of a run are the same whether or not anybody records its spans."""
    ended = launch(CHATTY, DKIST_LOG_FORMAT="json", TRACEPARENT=f"00-{'a' * 32}-{'b' * 16}-01")
    assert {record["trace_id"] for record in records(ended.errors) if record["logger"] == "instrument"} == {"a" * 32}


def test_a_failure_in_json_is_one_record_with_one_traceback(launch: Launcher) -> None:
    """The traceback is part of the record, once."""
    ended = launch(CHATTY, "Fails", DKIST_LOG_FORMAT="json")
    assert ended.status == 1
    (record,) = records(ended.errors)
    assert record["exception"].endswith("ValueError: bad frame")
    assert ended.log.count("Traceback") == 1


def test_lines_arrive_while_the_task_runs(launch: Launcher) -> None:
    """What a task prints is there before the next thing it does, without any flag of the interpreter."""
    code = """
class Task(TaskBase):
    def run(self):
        print("first")
        time.sleep(30)
"""
    (launch.folder / "tasks.py").write_text("import time\nfrom dkist_task import TaskBase\n" + code)
    process = subprocess.Popen(
        [sys.executable, "-m", "dkist_task", "run", "tasks:Task", "--recipe-run-id=1", "--workflow-name=w",
         "--workflow-version=1"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(launch.folder)},
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process, process.stdout:
        assert any("first" in line for line in iter(process.stdout.readline, ""))
        assert process.poll() is None
        process.kill()


def test_a_character_that_the_log_cannot_hold_fails_no_task(launch: Launcher) -> None:
    """In an engine whose locale is plain ASCII a task may still print what it likes."""
    code = """
class Task(TaskBase):
    def run(self): print("\\u03b1 \\udcff")
"""
    ended = launch(code, PYTHONIOENCODING="ascii")
    assert ended.status == 0, ended.log
    assert "\\u03b1 \\udcff" in ended.output


def test_the_block_names_the_distribution_of_the_task(tmp_path: Path, launch: Launcher) -> None:
    """The instrument's distribution is found from what is installed, whatever its name is."""
    metadata = tmp_path / "dkist_instrument_9-1.2.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: dkist-instrument-9\nVersion: 1.2.3\n\nName: no\n")
    (metadata / "RECORD").write_text("tasks.py,,\n")
    assert "distribution: dkist-instrument-9 1.2.3\n" in launch(CHATTY).output


def test_an_editable_distribution_is_named_too(tmp_path: Path, launch: Launcher) -> None:
    """A project that is installed editable holds what lies in its folder."""
    metadata = tmp_path / "instrument-0.dev0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: instrument\nVersion: 0.dev0\n")
    (metadata / "RECORD").write_text("__editable__.pth,,\n")
    (metadata / "direct_url.json").write_text(
        json.dumps({"dir_info": {"editable": True}, "url": tmp_path.as_uri().replace("pytest", "%70ytest", 1)})
    )
    assert "distribution: instrument 0.dev0\n" in launch(CHATTY).output
