"""Servers that misbehave, each on a port of its own."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dkist_airflow_node.messages import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

CONNECTION_START = (
    b"\x01\x00\x00\x00\x00\x00\x26\x00\x0a\x00\x0a\x00\x09\x00\x00\x00\x00"
    b"\x00\x00\x00\x0ePLAIN AMQPLAIN\x00\x00\x00\x05en_US\xce"
)
"""The first frame of a broker."""


SECRET = "s3cret-of-the-bus"
"""A password that no log and no error may show."""


def use_no_broker(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Spool:
    """Set a spool, and a broker that refuses connections; return the spool."""
    monkeypatch.setenv("DKIST_MESSAGE_SPOOL", str(folder))
    monkeypatch.setenv("MESH_CONFIG", mesh(1))
    monkeypatch.setenv("ISB_USERNAME", "dkist")
    monkeypatch.setenv("ISB_PASSWORD", SECRET)
    return Spool(folder)


@contextmanager
def serving(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """Do something to each connection, and give the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def behave_and_close(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            behave(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=behave_and_close, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        # Without it the accepting thread would keep the port.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def mesh(port: int, host: str = "127.0.0.1") -> str:
    """Return a MESH_CONFIG."""
    return json.dumps({"interservice-bus": {"mesh_address": host, "mesh_port": port}})


def say_nothing(connection: socket.socket) -> None:
    """Accept, read and never answer."""
    while connection.recv(4096):
        pass


def stall_in_a_frame(connection: socket.socket) -> None:
    """Send half of the first frame."""
    connection.sendall(CONNECTION_START[:20])
    say_nothing(connection)


def drip(connection: socket.socket) -> None:
    """Send the first frame a byte at a time, so that something always comes."""
    for byte in CONNECTION_START:
        connection.sendall(bytes([byte]))
        time.sleep(0.5)
    say_nothing(connection)


def hang_up(connection: socket.socket) -> None:
    """Close at once."""
    connection.recv(8)


def speak_something_else(connection: socket.socket) -> None:
    """Be a web server."""
    connection.recv(8)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def flood(connection: socket.socket) -> None:
    """Announce a frame of 4 GB and send for ever."""
    connection.sendall(b"\x01\x00\x00\xff\xff\xff\xff")
    while True:
        connection.sendall(bytes(1024))
        time.sleep(0.001)


def stall_after_login(connection: socket.socket) -> None:
    """Answer the first frame of the client with silence."""
    connection.sendall(CONNECTION_START)
    say_nothing(connection)


@contextmanager
def proxy(port: int, *, limit: int) -> Iterator[int]:
    """Stand before a real broker, and let `limit` bytes of its answers through: then the line is dead, but open."""

    def relay(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as broker:
            threading.Thread(target=_copy, args=(connection, broker), daemon=True).start()
            left = limit
            while left and (data := broker.recv(left)):
                connection.sendall(data)
                left -= len(data)
            time.sleep(60)

    with serving(relay) as own:
        yield own


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
