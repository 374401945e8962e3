"""Work that may hang, in a thread with a deadline."""

from __future__ import annotations

import math
import queue
import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class Watched(Generic[T]):
    """Iterate over what `work` yields, in a thread that is abandoned at its deadline.

    A name look-up has no timeout. A daemon thread can be abandoned in the middle of one: it delays neither the caller
    nor the end of the process. A child process could be killed, but costs an interpreter and pika's import each time,
    within the five seconds that Airflow gives. Signals belong to the main thread, where Airflow has its own handlers.

    Parameters
    ----------
    work : Iterator[T]
        Does something between two items.
    seconds : float
        How long each item may take.
    total_seconds : float
        How long all items may take.

    Raises
    ------
    TimeoutError
        The next item did not come in time. What `work` raises is raised too.
    """

    def __init__(self, work: Iterator[T], *, seconds: float, total_seconds: float = math.inf) -> None:
        self._work = work
        self._seconds = seconds
        self._end = time.monotonic() + total_seconds
        self._events: queue.SimpleQueue[tuple[T] | Exception] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="dkist-failure-messages", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                event = self._events.get(timeout=max(0.0, min(self._seconds, self._end - time.monotonic())))
            except queue.Empty:
                raise TimeoutError("no result in time") from None
            if isinstance(event, StopIteration):
                return
            if isinstance(event, Exception):
                raise event
            yield event[0]

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread, within its deadline."""
        self._thread.join(max(0.0, min(seconds, self._end - time.monotonic())))

    def _run(self) -> None:
        try:
            for item in self._work:
                self._events.put((item,))
        except Exception as error:  # raised again in the waiting thread
            self._events.put(error)
        else:
            self._events.put(StopIteration())
