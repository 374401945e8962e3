"""The processes of this machine, read from /proc."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A living process."""

    pid: int
    """Its process id."""
    parent: int
    """Process id of its parent."""
    session: int
    """Session id."""
    command: str
    """Its arguments, joined by spaces."""


def processes() -> list[Process]:
    """Return every living process. Zombies are left out."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if state not in "ZX":
                    found.append(Process(int(entry.name), int(parent), int(session), command))
    return found


def is_alive(pid: int) -> bool:
    """Return whether a process lives."""
    return any(process.pid == pid for process in processes())


def tree(root: int) -> list[Process]:
    """Return a process and all its descendants, parents first."""
    everyone = processes()
    found = [process for process in everyone if process.pid == root]
    for process in found:
        found += [child for child in everyone if child.parent == process.pid]
    return found


def processes_with(variable: str) -> list[Process]:
    """Return the other processes whose environment has ``NAME=value``."""
    entry = variable.encode()
    found = []
    for process in processes():
        with contextlib.suppress(OSError):
            environment = (PROC / str(process.pid) / "environ").read_bytes().split(b"\0")
            if entry in environment and process.pid != os.getpid():
                found.append(process)
    return found


def kill(victims: list[Process]) -> None:
    """Kill processes, parents first, so that none has time to clean up after another."""
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)
