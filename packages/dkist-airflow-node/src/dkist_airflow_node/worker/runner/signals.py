"""Signals: `_signal` is `signal` without ``enum``, which takes 2 ms of each start."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    try:
        import _signal as signal
    except ImportError:
        import signal

__all__ = ["STOP_GRACE_SECONDS", "STOP_SIGNALS", "ended_with", "send", "signal", "signal_name"]

STOP_GRACE_SECONDS = 10.0
"""From SIGTERM to SIGKILL. What Python may take of it for unwinding and for spans fits into it."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def send(pids: list[int], number: int) -> None:
    """Send a signal to those that are still there and may get one."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue


def signal_name(number: int) -> str:
    """Return the name of a signal."""
    from signal import Signals

    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def ended_with(status: int) -> str:
    """Return how a program ended, from the status that `wait` gave."""
    if os.WIFSIGNALED(status):
        return signal_name(os.WTERMSIG(status))
    return f"exit status {os.WEXITSTATUS(status)}"
