"""Collectors that misbehave: none holds a task, and none changes how it ends."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.dkist_task.conftest import Launcher

ENDS = """
class Ends(TaskBase):
    def run(self):
        with self.telemetry_span("work"): pass
    def __exit__(self, *_): print("LAST", time.time(), flush=True)
class Fails(Ends):
    def run(self): raise ValueError("bad frame")
"""

LIMIT_SECONDS = 8.0
"""3 s are promised; what else a busy machine does adds to them, and stock OpenTelemetry takes 9 to 40."""

Talk = Callable[[socket.socket], None]


@contextmanager
def server(talk: Talk) -> Iterator[str]:
    """Run `talk` with everyone who connects and yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=guarded, args=(connection,), daemon=True).start()

        def guarded(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                talk(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def swallow(connection: socket.socket) -> None:
    """Take everything and say nothing."""
    while connection.recv(65536):
        pass


def answering(answer: bytes) -> Talk:
    """Return a talk that answers every request with `answer`."""

    def talk(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(answer)

    return talk


def dripping(head: bytes) -> Talk:
    """Return a talk that sends `head`, and after it a byte at a time, for ever."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head)
        while True:
            connection.sendall(b"x")
            time.sleep(0.2)

    return talk


def flood(connection: socket.socket) -> None:
    """Answer with as much as the other side takes."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def break_off(connection: socket.socket) -> None:
    """Close in the middle of an answer."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


COLLECTORS: dict[str, Talk] = {
    "swallows": swallow,
    "drips": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    "drips headers": dripping(b"HTTP/1.1 200 OK\r\n"),
    "floods": flood,
    "breaks off": break_off,
    "closes": lambda _: None,
    "busy": answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
    "later": answering(b"HTTP/1.1 429 Later\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"),
    "redirects": answering(b"HTTP/1.1 307 Away\r\nLocation: /v1/traces\r\nContent-Length: 0\r\n\r\n"),
    "refuses": answering(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"),
    "garbage": answering(b"\x16\x03\x01\x02\x00\x01garbage\xff\xfe"),
}


def check(launch: Launcher, **environment: str) -> None:
    """Run a task that ends well and one that fails, and check status and time of both."""
    for task, status in (("Ends", 0), ("Fails", 1)):
        ended = launch(ENDS, task, **environment)
        seconds = time.time() - float(ended.output.split("LAST ")[1].split()[0])
        assert ended.status == status, ended.log
        assert seconds < LIMIT_SECONDS, f"{seconds:.1f} s after the task's last line"
        assert ended.log.count("Traceback") == status, ended.log


@pytest.mark.parametrize("name", COLLECTORS)
def test_a_collector_that_misbehaves_holds_nothing(launch: Launcher, name: str) -> None:
    """Within 3 s of the task's last line the process is gone, with the task's own status."""
    with server(COLLECTORS[name]) as endpoint:
        check(launch, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)


def test_a_redirection_is_not_followed(launch: Launcher) -> None:
    """A collector that redirects is one warning for each kind of data, and nothing reaches the other address."""
    reached = []

    def away(connection: socket.socket) -> None:
        reached.append(connection.recv(65536))

    with server(away) as other:
        answer = f"HTTP/1.1 307 Away\r\nLocation: {other}/v1/traces\r\nContent-Length: 0\r\n\r\n"
        with server(answering(answer.encode())) as endpoint:
            ended = launch(ENDS, "Ends", OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
                           OTEL_METRICS_EXPORTER="none")  # fmt: skip
    assert ended.status == 0, ended.log
    assert reached == []
    assert ended.log.count("redirects, which is not followed") == 1, ended.log


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:1", "http://no-such-host.invalid:4318", "http://10.255.255.1:4318", "https://127.0.0.1:1"],
)
def test_a_collector_that_is_not_there_holds_nothing(launch: Launcher, endpoint: str) -> None:
    """Refused, unknown and unreachable collectors cost no more than a misbehaving one."""
    check(launch, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)


def test_tls_to_one_that_does_not_speak_it_holds_nothing(launch: Launcher) -> None:
    """A handshake that never comes about is given up."""
    with server(swallow) as endpoint:
        check(launch, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.replace("http:", "https:"))


def test_a_hang_in_name_resolution_holds_nothing(launch: Launcher) -> None:
    """A resolver that does not come back is left behind."""
    code = "import socket\nsocket.getaddrinfo = lambda *_, **__: time.sleep(60)\n" + ENDS
    launch_slow = type(launch)(launch.folder)
    ended = launch_slow(code, "Ends", OTEL_EXPORTER_OTLP_ENDPOINT="http://collector.invalid:4318")
    seconds = time.time() - float(ended.output.split("LAST ")[1].split()[0])
    assert ended.status == 0, ended.log
    assert seconds < LIMIT_SECONDS


def test_a_busy_collector_that_recovers_gets_everything(launch: Launcher) -> None:
    """A few refusals in the middle of a run lose nothing."""
    requests = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append(body)
            self.send_response(503 if len(requests) <= 2 else 200)
            self.end_headers()
            if len(requests) > 2:
                (launch.folder / "accepted").touch()

        def log_message(self, format: str, *args: object) -> None:
            pass

    code = """
class Task(TaskBase):
    def run(self):
        with self.telemetry_span("early"): pass
        until = time.monotonic() + 60
        while not os.path.exists("accepted") and time.monotonic() < until: time.sleep(0.05)
"""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        endpoint = f"http://127.0.0.1:{receiver.server_port}"
        ended = launch(code, OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        receiver.shutdown()
        thread.join()
    assert ended.status == 0, ended.log
    assert sum(b"early" in body for body in requests[2:]) == 1


def test_a_tight_loop_of_spans_loses_none(launch: Launcher) -> None:
    """Spans made faster than they are sent wait for their turn."""
    seen = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.rfile.read(int(self.headers["Content-Length"])).count(b"tight"))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    code = """
class Task(TaskBase):
    def run(self):
        for _ in range(10_000):
            with self.telemetry_span("tight"): pass
"""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        endpoint = f"http://127.0.0.1:{receiver.server_port}"
        ended = launch(code, OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        receiver.shutdown()
        thread.join()
    assert ended.status == 0, ended.log
    assert sum(seen) == 10_000
