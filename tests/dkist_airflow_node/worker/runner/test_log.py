"""The runner's log: whole lines of bounded length, whatever a task writes, with bounded memory."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dkist_airflow_node.worker.runner.log import MAXIMUM_LINE_BYTES, Output, tidy
from dkist_airflow_node.worker.runner.processes import children_of
from tests.dkist_airflow_node.worker.runner_host import RunnerHost
from tests.dkist_airflow_node.worker.worker import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

TASKS = """
import os, sys

def writes_a_line_of_300_mb():
    for _ in range(3000):
        os.write(1, b"x" * 100_000)
    os.write(1, b"\\n")

def writes_a_million_lines():
    for number in range(1000):
        numbers = range(number * 1000, number * 1000 + 1000)
        sys.stdout.write("".join(f"line {n} of a million, as a chatty task writes them\\n" for n in numbers))

def writes_bytes():
    for _ in range(1000):
        os.write(1, bytes(range(256)) * 40)

def writes_a_record_after_half_a_line():
    print("half a line", end="", flush=True)
    os.write(2, b'\\x1e{"level": "WARNING", "logger": "a", "message": "m", "time": "t"}\\n')
"""


@pytest.fixture
def host(tmp_path: Path) -> RunnerHost:
    """Return a host for a release of these tasks."""
    host = RunnerHost(tmp_path)
    host.release(TASKS)
    return host


@pytest.fixture
def output() -> Iterator[tuple[Output, int]]:
    """Return an output, and where it can be read."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield Output(writer), reader
    os.close(writer)
    os.close(reader)


def read_all(reader: int) -> bytes:
    """Return what is in a pipe."""
    try:
        return os.read(reader, 1_000_000)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([b"one\ntwo\n"], b"one\ntwo\n"),
        ([b"o", b"ne\ntw", b"o"], b"one\ntwo\n"),
        ([b"\n\n"], b"\n\n"),
        ([b"one\r\ntwo\r\n"], b"one\ntwo\n"),
        ([b"one\r", b"\n"], b"one\n"),
        ([b" 1%\r", b" 2%\r 3%", b"\r100%\n"], b"100%\n"),
        ([b" 1%\r 2%\r"], b" 2%\n"),
        ([b"\r\r\r\n"], b"\n"),
        ([b"Haleakal\xc4", b"\x81\n"], b"Haleakal\xc4\x81\n"),
        ([b"\xff\xfe\n"], b"\\xff\\xfe\n"),
        ([b"\xc4\n\x81"], b"\\xc4\n\\x81\n"),
        ([b'\x1e{"a": 1}\n\x1e{"b": 2}\n'], b'\x1e{"a": 1}\n\x1e{"b": 2}\n'),
        ([b'half\x1e{"a": 1}\nrest\n'], b'half\n\x1e{"a": 1}\nrest\n'),
        ([], b""),
    ],
)
def test_lines(output: tuple[Output, int], blocks: list[bytes], expected: bytes) -> None:
    """However a task's bytes come, the log has whole lines of UTF-8 and one state of each progress bar."""
    for block in blocks:
        output[0].feed(block)
    output[0].finish_line()
    assert read_all(output[1]) == expected


@pytest.mark.parametrize("character", ["x", "\u0101", "\u20ac", "\U0001f52d"])
@pytest.mark.parametrize("offset", range(5))
def test_long_lines_are_cut_between_characters(output: tuple[Output, int], character: str, offset: int) -> None:
    """Each piece is shorter than the maximum and is text of its own; nothing is lost."""
    line = ("-" * offset + character * 300_000).encode()
    seen = b""
    for start in range(0, len(line), 50_001):
        output[0].feed(line[start : start + 50_001])
        seen += read_all(output[1])
    output[0].finish_line()
    seen += read_all(output[1])
    while output[0].waiting:
        output[0].write()
        seen += read_all(output[1])
    pieces = seen.splitlines(keepends=True)
    assert max(map(len, pieces)) <= MAXIMUM_LINE_BYTES
    assert all(piece.decode() for piece in pieces)
    assert seen.replace(b"\n", b"") == line


def test_bytes_that_are_no_text_stay_within_the_bound() -> None:
    """Bytes that are written out as text take more room than before."""
    lines = tidy(b"\xff" * 65_000 + b"\n").splitlines(keepends=True)
    assert max(map(len, lines)) <= MAXIMUM_LINE_BYTES
    assert b"".join(lines).count(b"\\xff") == pytest.approx(65_000, abs=4)


def memory_of(pid: int) -> int:
    """Return what a process took of memory at most, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.parametrize(
    ("task", "at_least"), [("writes_a_line_of_300_mb", 300_000_000), ("writes_a_million_lines", 50_000_000)]
)
def test_a_flood_takes_bounded_memory(host: RunnerHost, task: str, at_least: int) -> None:
    """The runner's memory does not grow with what passes through it, and no line is too long."""
    assert host.result_of("writes_a_record_after_half_a_line").status == 0
    with host.started(task) as process:
        total = longest = highest = 0
        worker = 0
        while line := process.stdout.readline(1_000_000):
            total += len(line)
            longest = max(longest, len(line))
            if not highest or total % 1000 == 0:
                (worker,) = [worker] if worker else children_of(process.pid)
                highest = max(highest, memory_of(worker))
        assert json.loads(process.stderr.read())["result"] == "success"
    assert total > at_least
    assert longest <= MAXIMUM_LINE_BYTES
    assert highest < 25_000_000


def test_a_slow_reader_holds_the_task_up_and_not_the_memory(host: RunnerHost) -> None:
    """As with any pipe."""
    assert host.result_of("writes_a_record_after_half_a_line").status == 0
    with host.started("writes_a_million_lines") as process:
        wait_for(lambda: children_of(process.pid), "the runner's second process")
        time.sleep(1)
        (worker,) = children_of(process.pid)
        assert memory_of(worker) < 25_000_000
        ended = process.end()
    assert len(ended.lines) == 1_000_000
    assert ended.result["result"] == "success"


def test_no_byte_of_a_flood_is_lost(host: RunnerHost) -> None:
    """Lines come whole and in their order."""
    ended = host.result_of("writes_a_million_lines")
    seen = hashlib.sha256("\n".join(ended.lines).encode()).hexdigest()
    lines = (f"line {n} of a million, as a chatty task writes them" for n in range(1_000_000))
    assert seen == hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_binary_bytes_harm_nobody(host: RunnerHost) -> None:
    """The log is text."""
    ended = host.result_of("writes_bytes")
    assert ended.status == 0
    assert "\\xff" in ended.output.decode()


def test_a_record_after_half_a_line_is_a_line_of_its_own(host: RunnerHost) -> None:
    """A print without an end must not hide a record."""
    ended = host.result_of("writes_a_record_after_half_a_line")
    assert ended.lines == ["half a line"]
    assert any(record["logger"] == "a" for record in ended.records)


def test_a_reader_that_goes_away_is_no_error() -> None:
    """What is written after that is lost."""
    reader, writer = os.pipe()
    output = Output(writer)
    thread = threading.Thread(target=os.close, args=(reader,))
    thread.start()
    thread.join()
    for _ in range(3):
        output.feed(b"lost\n")
    assert (output.is_open, output.waiting, output.line) == (False, b"", b"")
    os.close(writer)
