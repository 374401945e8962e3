"""The private Redis answers, and is gone afterwards. Needs ``redis-server`` (Debian: redis-server)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from harness.private_redis import PrivateRedis, RedisMissingError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.service
def test_it_answers_until_the_end(tmp_path: Path) -> None:
    """A key can be written inside, and nothing listens afterwards."""
    with PrivateRedis(tmp_path) as redis, socket.create_connection(("127.0.0.1", redis.port), timeout=10) as client:
        client.sendall(b"SET a b\r\n")
        assert client.recv(16) == b"+OK\r\n"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", redis.port), timeout=10)


def test_a_missing_program_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RedisMissingError, match=r"Debian: redis-server"), PrivateRedis(tmp_path):
        pass
