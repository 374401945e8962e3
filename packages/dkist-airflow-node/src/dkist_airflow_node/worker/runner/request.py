"""Standard input: the request, and the commands after it."""

from __future__ import annotations

import os

from .errors import CannotRunError
from .plain_json import parse_json
from .supervisor import BLOCK_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .supervisor import Supervisor


class StandardInput:
    """What the operator writes, a line at a time."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.input = b""

    def read_request(self) -> dict[str, Any]:
        """Wait for the first line of standard input."""
        is_read = False

        def read(descriptor: int) -> None:
            nonlocal is_read
            block = os.read(descriptor, BLOCK_BYTES)
            self.input += block
            is_read = not block or b"\n" in self.input
            if not block:
                del self.supervisor.readers[descriptor]

        self.supervisor.readers[0] = read
        while not is_read:
            self.supervisor.wait()
        line, _, self.input = self.input.partition(b"\n")
        try:
            request = parse_json(line.decode())
            environ, action = request["environ"], request["action"]
            if not all(isinstance(value, str) and "\0" not in value for value in environ.values()):
                raise ValueError("a variable is no text")
            if action not in {"run", "rollback", "build"}:
                raise ValueError(f"no such action: {action!r}")
            if action != "build" and not environ.get("DKIST_TASK"):
                raise ValueError("DKIST_TASK is not set")
            watched = [int(pid) for pid in request.get("watch", ())]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = f"the request cannot be read: {type(error).__name__}: {error}"
            raise CannotRunError(reason, can_retry=False) from error
        for pid in watched:
            self.supervisor.watch(pid, f"process {pid}, which asked for the task, is gone")
        if 0 in self.supervisor.readers:
            self.supervisor.readers[0] = self.read_command
        self.obey()
        return dict(request)

    def read_command(self, descriptor: int) -> None:
        """Take what comes after the request; its end means nothing."""
        block = os.read(descriptor, BLOCK_BYTES)
        if not block:
            del self.supervisor.readers[descriptor]
        self.input += block
        self.obey()

    def obey(self) -> None:
        """Do what each whole line says; later versions may say what this one does not know."""
        *lines, self.input = self.input.split(b"\n")
        for line in lines:
            try:
                command = parse_json(line.decode())
                self.supervisor.stop(str(command["stop"]), str(command.get("text", "")))
            except (ValueError, TypeError, KeyError, AttributeError):
                self.supervisor.output.say(f"a command cannot be read: {line[:200]!r}", "WARNING")
