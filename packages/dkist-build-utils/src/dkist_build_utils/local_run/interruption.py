"""Signals that ask a run to end."""

from __future__ import annotations

import os
import select
import signal
import threading
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Counts the signals that ask for the end, and can be waited for.

    Within its block the signals do nothing else. In a thread other than the main one none is seen.
    """

    def __init__(self) -> None:
        self.count = 0
        """How many came."""
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._former: dict[signal.Signals, Any] = {}
        self._former_wakeup = -1

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._former_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
            # The byte that each signal writes says all; without a handler it would not be written.
            self._former = {
                number: signal.signal(number, lambda *_: None) for number in SIGNALS if not _is_nohup(number)
            }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        if self._former:
            signal.set_wakeup_fd(self._former_wakeup)
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        """Return the descriptor that is readable when a signal came."""
        return self._reader

    def has_news(self) -> bool:
        """Return whether a signal came that was not received yet."""
        return bool(select.select([self], [], [], 0)[0])

    def receive(self) -> str | None:
        """Count the signals that came and return the name of the last; None where none asks for the end."""
        came = [number for number in os.read(self._reader, 4096) if number in SIGNALS]
        self.count += len(came)
        return signal.Signals(came[-1]).name if came else None


def _is_nohup(number: signal.Signals) -> bool:
    """Return whether ``nohup`` started this process: then the end of its terminal is not to end it."""
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN
