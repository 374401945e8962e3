"""Run one command, and end all of its descendants when the owner asks or dies.

A program of its own, started as ``python -I -S guardian.py GRACE_SECONDS COMMAND...`` by `harness.process`:

* standard output: the command's process id on the first line; when it ends, its exit status (negative: the signal) on a
  second line.
* standard input: only its end matters, when the owner closes it or dies. That, or SIGTERM, means *stop*: SIGTERM to
  the command and every descendant, then SIGKILL to those that are left after the grace.
* a command that ends by itself stops nothing: its orphans live on until the owner asks. Tests that kill a worker
  need to see what happens to the worker's children.

This process is the subreaper of its descendants, so an orphan becomes its child. That is how it finds descendants in
another session or process group, such as Airflow's tasks. If the guardian itself is killed, the command gets SIGTERM.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.05


def main(arguments: list[str]) -> int:
    """Run the command of `arguments` until the owner asks to stop."""
    grace_seconds, command = float(arguments[0]), arguments[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    stop_reader, stop_writer = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(stop_writer, b"."))
    # A background job of a shell ignores SIGINT, and Airflow would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
        preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0),
    )
    report(process.pid)
    status: int | None = None
    while not select.select([sys.stdin, stop_reader], [], [], POLL_SECONDS)[0]:
        status = reap(process.pid, status)
    stop(grace_seconds)
    return 0


def report(value: int) -> None:
    """Write one line for the owner, who may be dead."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"%d\n" % value)


def reap(command_pid: int, status: int | None) -> int | None:
    """Reap every child that has ended. Report and return the command's exit status once it has one."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == command_pid:
                status = os.waitstatus_to_exitcode(ended[1])
                report(status)
    return status


def descendants() -> list[int]:
    """Return the process ids of all living descendants of this process."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    children.setdefault(int(parent), []).append(int(entry.name))
    found, frontier = [], [os.getpid()]
    while frontier:
        of_this = children.get(frontier.pop(), [])
        found += of_this
        frontier += of_this
    return found


def stop(grace_seconds: float) -> None:
    """End every descendant with SIGTERM, and with SIGKILL after the grace."""
    deadline = time.monotonic() + grace_seconds
    number = signal.SIGTERM
    signalled: set[int] = set()
    # Look twice: a parent that ends during a look hides its children, and the next look finds them as our own.
    while left := descendants() or descendants():
        if number == signal.SIGTERM and time.monotonic() > deadline:
            number = signal.SIGKILL
            signalled.clear()
        for pid in set(left) - signalled:
            signalled.add(pid)
            with contextlib.suppress(OSError):
                if number == signal.SIGKILL:
                    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    print(f"guardian: killing {pid}: {command[:200]}", file=sys.stderr, flush=True)
                os.kill(pid, number)
        time.sleep(POLL_SECONDS)
        reap_all()
    reap_all()  # those that died since: no zombie is left to a process 1 that may collect none


def reap_all() -> None:
    """Reap every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
