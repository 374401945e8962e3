"""A private Redis on this machine, in which tasks of client packages keep their tags and constants."""

from __future__ import annotations

import os
import shutil
import socket
import time
from typing import TYPE_CHECKING, Self

from harness.airflow import free_port
from harness.process import GuardedProcess

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

SERVICE = "automated-processing-scratch-inventory"
"""Its name in ``MESH_CONFIG``."""

START_SECONDS = 60


class RedisMissingError(RuntimeError):
    """No Redis is installed."""

    def __init__(self) -> None:
        super().__init__("redis-server was not found on PATH; install it (Debian: redis-server)")


class PrivateRedis:
    """One server on 127.0.0.1 that keeps everything in memory.

    Use it as a context manager: it answers inside, and nothing of it runs afterwards.

    Parameters
    ----------
    home : Path
        Folder of its log.
    """

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        """Its port."""
        self._home = home
        self._process: GuardedProcess | None = None

    def __enter__(self) -> Self:
        """Start the server and wait until it answers."""
        program = shutil.which("redis-server")
        if program is None:
            raise RedisMissingError
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._home.mkdir(parents=True, exist_ok=True)
        log = self._home / "redis.log"
        self._process = GuardedProcess("Redis", command, log=log, env={"PATH": os.environ["PATH"]}, cwd=self._home)
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.status is not None or time.monotonic() > end:
                said = self._process.tail()
                self._process.stop()
                raise RuntimeError(f"Redis did not start:\n{said}")
            time.sleep(0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        if self._process is not None:
            self._process.stop()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
