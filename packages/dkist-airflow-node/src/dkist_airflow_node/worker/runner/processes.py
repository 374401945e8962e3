"""Processes: those below this one, their beginning and their end."""

from __future__ import annotations

import os
import time

from .signals import STOP_GRACE_SECONDS, STOP_SIGNALS, send, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from resource import struct_rusage

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36


def set_process(option: int, value: int) -> None:
    """Call prctl, which Python has no function for."""
    try:
        import _ctypes

        program = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
        if _ctypes.call_function(_ctypes.dlsym(program, "prctl"), (option, value, 0, 0, 0)) == 0:
            return
    except (ImportError, AttributeError, TypeError, OSError):
        pass
    import ctypes

    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def parent_and_start_of(pid: int) -> tuple[int, int]:
    """Return a process's parent and the time it started, in clock ticks since the boot; raise OSError."""
    with open(f"/proc/{pid}/stat", "rb") as file:  # pathlib costs 5 ms of each start
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[1]), int(fields[19])


def children_of(pid: int) -> list[int]:
    """Return the children of all threads of a process; raise FileNotFoundError on a kernel without such lists."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
            found += [int(child) for child in file.read().split()]
    return found


def descendants(root: int) -> list[int]:
    """Return everything below a process. A subreaper is the parent of all below it that lost theirs."""
    found: list[int] = []
    left = [root]
    children_by_parent: dict[int, list[int]] | None = None
    while left:
        pid = left.pop()
        try:
            below = children_of(pid) if children_by_parent is None else children_by_parent.get(pid, [])
        except (OSError, ValueError):
            if os.path.exists(f"/proc/{pid}/task/{pid}/children") or not os.path.exists(f"/proc/{pid}/task/{pid}"):
                continue  # it ended: its children have another parent, and are seen at the next look
            children_by_parent = all_children()
            below = children_by_parent.get(pid, [])
        found += below
        left += below
    return found


def all_children() -> dict[int, list[int]]:
    """Return the children of every process, for kernels without CONFIG_PROC_CHILDREN."""
    found: dict[int, list[int]] = {}
    for pid in processes():
        try:
            found.setdefault(parent_and_start_of(pid)[0], []).append(pid)
        except (OSError, IndexError):  # ended, or not for us to see
            continue
    return found


def processes() -> list[int]:
    """Return all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


class Children:
    """The processes below this one, a subreaper."""

    def __init__(self) -> None:
        self.awaited = 0
        """The child whose end is of interest."""
        self.status: int | None = None
        """The status that the awaited child ended with."""
        self.usage: struct_rusage | None = None

    def reap(self) -> bool:
        """Collect those that ended; return whether any is left."""
        try:
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if not pid:
                    return True
                if pid == self.awaited:
                    self.status, self.usage = status, usage
        except ChildProcessError:
            return False

    def end(self, pause: Callable[[float], None]) -> None:
        """End all of them: SIGTERM, SIGKILL after the grace, again until none is left."""
        signalled: set[int] = set()
        for _ in range(3):  # one that forks and ends while we look would hide its child from a single look
            fresh = [pid for pid in descendants(os.getpid()) if pid not in signalled]
            send(fresh, signal.SIGTERM)
            send(fresh, signal.SIGCONT)  # one that was stopped unwinds, too
            signalled.update(fresh)
        deadline = time.monotonic() + STOP_GRACE_SECONDS
        wait = 0.01
        while self.reap():
            left = deadline - time.monotonic()
            if left <= 0:
                send(descendants(os.getpid()), signal.SIGKILL)
                wait = left = min(wait * 2, 1)  # one in the kernel's hands may take its time
            pause(left)


def spawn(command: list[str], environ: Mapping[str, str], output: int, folder: str | None) -> int:
    """Start a program in a session of its own; it gets SIGTERM when this process dies."""
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # until the child has no handler of ours any more
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return pid
    try:
        signal.set_wakeup_fd(-1)
        for number in (*STOP_SIGNALS, signal.SIGCHLD, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()  # so that a stop begins here, with its reason written, and not by a signal to the whole group
        set_process(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if folder is not None:
            os.chdir(folder)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(command[0], command, dict(environ))  # noqa: S606  # that is what a runner is for
    except BaseException as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)
