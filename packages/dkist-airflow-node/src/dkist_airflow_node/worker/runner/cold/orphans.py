"""What an attempt left behind whose runner was killed."""

from __future__ import annotations

import fcntl
import os
import time

from ..processes import descendants, parent_and_start_of, processes
from ..signals import STOP_GRACE_SECONDS, send, signal
from ..store import LOOK_SECONDS, take_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..supervisor import Supervisor


def wait_for_lock(descriptor: int, supervisor: Supervisor) -> None:
    """Wait for the lock. Processes that hold it though the runner that took it is gone are ended."""
    holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
    supervisor.output.say(f"waiting for the end of another attempt of this task (process {holder})", "WARNING")
    signalled: set[int] = set()
    deadline = time.monotonic() + STOP_GRACE_SECONDS
    next_look = 0.0
    while not take_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + 1
            left = left_behind(descriptor)
            if left and not signalled:
                supervisor.output.say(
                    f"the runner of that attempt was killed; ending what it left: processes {left}: SIGTERM now, "
                    f"SIGKILL after {STOP_GRACE_SECONDS:.0f} s",
                    "WARNING",
                )
                deadline = time.monotonic() + STOP_GRACE_SECONDS
            is_late = time.monotonic() >= deadline
            send(
                [pid for pid in left if is_late or pid not in signalled], signal.SIGKILL if is_late else signal.SIGTERM
            )
            send([pid for pid in left if pid not in signalled], signal.SIGCONT)  # one that was stopped unwinds, too
            signalled.update(left)
        supervisor.wait(LOOK_SECONDS)


def left_behind(lock: int) -> list[int]:
    """Return the processes that hold the lock, and those below them, where who took it is gone."""
    own = os.fstat(lock)
    found = []
    for pid in processes():
        try:
            for name in os.listdir(f"/proc/{pid}/fd"):
                if os.path.samestat(own, os.stat(f"/proc/{pid}/fd/{name}")) and is_of_the_dead(lock, pid, name):
                    found += [pid, *descendants(pid)]
                    break
        except OSError:  # gone, or not for us to see: nothing is ended on a guess
            continue
    return found


def is_of_the_dead(lock: int, pid: int, descriptor: str) -> bool:
    """Return whether a descriptor holds the lock for a process that is gone, as the kernel says."""
    with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as file:
        takers = [int(line.split()[5]) for line in file if line.startswith("lock:") and "FLOCK" in line]
    if not takers:  # it only waits
        return False
    text = os.pread(lock, 1000, 0).split()
    try:
        start = parent_and_start_of(takers[0])[1]
    except (FileNotFoundError, ProcessLookupError):
        return is_gone(takers[0])
    except OSError:
        return False
    # The number may be another process's by now.
    return len(text) > 1 and text[0] == b"%d" % takers[0] and text[1] != b"%d" % start


def is_gone(pid: int) -> bool:
    """Return whether a process that /proc does not show is gone: it may hide a living one (hidepid=2)."""
    if pid == 0:  # as a PID namespace numbers the dead
        return True
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False
