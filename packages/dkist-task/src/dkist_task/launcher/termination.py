"""SIGTERM, as a task meets it: once, as an exception, with time to clean up."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from dkist_task.grace import PATIENCE_SECONDS
from dkist_task.outcome import TaskTerminated
from dkist_task.telemetry import flush_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

LOOK_SECONDS = 0.25
"""How often the watcher checks whether the task unwinds."""


class Termination:
    """Turn the first SIGTERM into one `TaskTerminated` in the main thread; later ones change nothing.

    Python runs a handler between two instructions of the main thread, so native code that takes long delays it. A
    thread that the signal wakes at once sends what is known by then.

    Parameters
    ----------
    send_open_spans : callable
        Called in the watcher thread where the task has not unwound after `PATIENCE_SECONDS`, and in children of
        `multiprocessing` before the signal ends them.
    report_signal : callable
        Called once, with the frame that the main thread was in when the signal came.
    """

    def __init__(self, send_open_spans: Callable[[], None], report_signal: Callable[[FrameType | None], None]) -> None:
        self.is_received = False
        """Whether SIGTERM came before the task's outcome was decided."""
        self._send_open_spans = send_open_spans
        self._report_signal = report_signal
        self._is_reported = False
        self._is_held = False
        self._is_due = False
        self._is_installed = False
        self._decided = threading.Event()
        self._raised: Callable[[], TaskTerminated | None] = lambda: None

    def install(self) -> None:
        """Take over SIGTERM, unless somebody has or this is not the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return
        self._is_installed = True
        handle_and_watch(self._handle, self._watch, self._send_open_spans)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Delay SIGTERM to the end of the block."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._is_due:
            self._raise()

    def let_clean_up(self) -> None:
        """Note a SIGTERM from here on without raising: nothing interrupts the task's ``__exit__``."""
        self._is_held = True

    def decide(self) -> None:
        """Ignore signals from here on: the outcome is settled and the process is about to end by itself."""
        self._decided.set()
        if self._is_installed:
            # Not by a handler: the interpreter's last act would give its signal back to the default.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)

    def _handle(self, _signal_number: int, frame: FrameType | None) -> None:
        """Raise in the main thread, once."""
        if self._decided.is_set():
            return
        is_lost = self.is_received and not self._is_held and not self._is_due and self._raised() is None
        if self.is_received and not is_lost:
            return
        self.is_received = True
        self._report_once(frame)
        place = outside_destructors(frame)
        if self._is_held:
            self._is_due = True
        elif has_cancelled_event_loop(place):
            cancelled = TaskTerminated("SIGTERM")
            self._raised = lambda: cancelled
        elif place is not None and place is not frame:
            self._is_due = True
            call_at(place, self._raise)
        else:
            self._raise()

    def _report_once(self, frame: FrameType | None) -> None:
        """Report the signal, unless the watcher or the handler has done so."""
        if not self._is_reported:
            self._is_reported = True
            self._report_signal(frame)

    def _raise(self) -> NoReturn:
        """Raise `TaskTerminated` and remember it without keeping it alive."""
        self._is_due = False
        error = TaskTerminated("SIGTERM")
        self._raised = weakref.ref(error)
        try:
            raise error
        finally:
            del error

    def _watch(self) -> None:
        """Make sure, once SIGTERM has come, that the task unwinds and that its spans are sent."""
        if self._decided.wait(PATIENCE_SECONDS):
            return
        # Native code keeps the handler waiting: this thread can see where the main thread is.
        self._report_once(sys._current_frames().get(threading.main_thread().ident or 0))  # noqa: SLF001 documented
        self._send_open_spans()
        while not self._decided.wait(LOOK_SECONDS):
            is_lost = not self._is_held and self._raised() is None
            if (is_lost or not self.is_received) and signal.getsignal(signal.SIGTERM) == self._handle:
                # A bare "except" or a callback of C code has swallowed it, or it came just before a call that blocks,
                # which it did not interrupt: the handler is called again.
                interrupt_main_thread()


def outside_destructors(frame: FrameType | None) -> FrameType | None:
    """Return `frame`, or its nearest caller outside any ``__del__``: Python drops what a ``__del__`` raises."""
    place, above = frame, frame
    while above is not None:
        if above.f_code.co_name == "__del__":
            place = above.f_back
        above = above.f_back
    return place


def call_at(frame: FrameType, function: Callable[[], object]) -> None:
    """Call `function` in this thread as soon as it executes the code of `frame` again."""

    def trace(*_: object) -> None:
        sys.settrace(None)
        frame.f_trace = None
        function()

    frame.f_trace = trace
    frame.f_trace_opcodes = True
    sys.settrace(lambda *_: None)


def has_cancelled_event_loop(frame: FrameType | None) -> bool:
    """Cancel the tasks of `asyncio` where a signal interrupted its loop, and return whether that was so.

    An exception between two steps of the loop would lose one of them, and with it whoever waits for that task.
    """
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or frame is None or not str(frame.f_globals.get("__name__")).startswith("asyncio."):
        return False
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    for task in asyncio.all_tasks(loop):
        loop.call_soon_threadsafe(task.cancel)
    return True


def send_spans_before_death(send_open_spans: Callable[[], None]) -> None:
    """Make SIGTERM call `send_open_spans` before it ends this process.

    A thread sends: the signal may come when the main thread holds a lock that sending needs, or just before the main
    thread makes a call that blocks.
    """
    is_sent = threading.Event()

    def handle(_signal_number: int, _frame: FrameType | None) -> None:
        if is_sent.is_set():
            die_of_sigterm()

    def watch() -> None:
        if signal.getsignal(signal.SIGTERM) is handle:
            send_open_spans()
            is_sent.set()
        while signal.getsignal(signal.SIGTERM) is handle:
            interrupt_main_thread()
            time.sleep(LOOK_SECONDS)

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        handle_and_watch(handle, watch, send_open_spans)


def handle_and_watch(
    handle: Callable[[int, FrameType | None], None], watch: Callable[[], None], send_open_spans: Callable[[], None]
) -> None:
    """Give SIGTERM a handler in the main thread, and call `watch` in a thread once SIGTERM has come.

    A forked child has neither, unless `multiprocessing` started it: then it sends its spans before it dies.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, handle)

    def wait() -> None:
        while (woken_by := os.read(reader, 1)) and signal.SIGTERM not in woken_by:
            pass  # another signal that the task handles
        watch()

    def start_over() -> None:
        signal.set_wakeup_fd(-1)  # the pipe is the parent's
        if signal.getsignal(signal.SIGTERM) != handle:
            return
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.register_after_fork(start_over, lambda _: send_spans_before_death(send_open_spans))

    os.register_at_fork(after_in_child=start_over)
    threading.Thread(target=wait, name="dkist-task-termination", daemon=True).start()


def interrupt_main_thread() -> None:
    """Send SIGTERM to the main thread, which interrupts a call that blocks."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def die_of_sigterm() -> NoReturn:
    """End this process as SIGTERM ends one that does not handle it."""
    flush_streams()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(128 + signal.SIGTERM)  # not reached, unless SIGTERM is blocked
