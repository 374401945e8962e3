"""The command's end of the guardian: starting processes of tasks, and hearing of their ends."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dkist_build_utils.errors import GuardError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dkist_build_utils.local_run.interruption import Interruption

PROGRAM = Path(__file__).with_name("guardian.py")
"""What runs as the guardian; its docstring states the protocol."""
MESSAGE_BYTES = 1 << 20


class Guard:
    """A guardian process and the socket to it.

    Parameters
    ----------
    lock_file : Path
        What the guardian holds a lock on for as long as any process of a task is left.
    environ : mapping
        The variables that every process gets.
    """

    def __init__(self, lock_file: Path, environ: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # A session of its own: Ctrl-C and a kill of the whole process group must not end what cleans up.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(PROGRAM), str(lock_file), str(os.getpid())],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=dict(environ),
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Have everything ended that is left, and wait for it."""
        self._socket.close()
        self._process.wait()

    def fileno(self) -> int:
        """Return the descriptor that is readable when there is something to `receive`."""
        return self._socket.fileno()

    def start(
        self, key: str, command: Sequence[str], environ: Mapping[str, str], descriptors: tuple[int, int, int]
    ) -> None:
        """Start a process with these variables besides, and standard input, output and error."""
        message = {"start": key, "command": list(command), "environ": dict(environ)}
        try:
            socket.send_fds(self._socket, [json.dumps(message).encode()], list(descriptors))
        except OSError as error:
            raise self._loss() from error

    def stop(self, key: str) -> None:
        """Ask a process, and all that it started, to end within the grace."""
        self._send(stop=key)

    def kill(self) -> None:
        """Kill everything at once."""
        self._send(kill=True)

    def receive(self) -> dict[str, Any]:
        """Return the next message of the guardian.

        Raises
        ------
        GuardError
            The guardian is gone, and all processes with it.
        """
        try:
            content = self._socket.recv(MESSAGE_BYTES)
        except OSError:
            content = b""
        if not content:
            raise self._loss()
        message: dict[str, Any] = json.loads(content)
        return message

    def wait_ready(self, seconds: float | None, interruption: Interruption) -> bool:
        """Return whether the guardian says within some seconds that no process of an earlier command is left.

        A signal ends the wait.
        """
        found, _, _ = select.select([self.fileno(), interruption.fileno()], [], [], seconds)
        return bool(self.fileno() in found and self.receive()["ready"])

    def _send(self, **message: object) -> None:
        try:
            self._socket.send(json.dumps(message).encode())
        except OSError as error:
            raise self._loss() from error

    def _loss(self) -> GuardError:
        self._socket.close()
        status = self._process.wait()
        return GuardError(
            f"the process that starts tasks ended with status {status}, and the tasks with it; run the command again"
        )
