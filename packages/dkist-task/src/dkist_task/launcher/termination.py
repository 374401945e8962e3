"""SIGTERM, as a task meets it: once, as an exception, with time to clean up."""

from __future__ import annotations

import os
import signal
import sys
import threading
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
        Called where spans cannot wait to be ended by the code inside them: in the watcher thread, where the task has
        not unwound after `PATIENCE_SECONDS`; and in a forked child, which the signal is to end at once.
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
        self._process_id = os.getpid()
        self._decided = threading.Event()
        self._raised: Callable[[], TaskTerminated | None] = lambda: None

    def install(self) -> None:
        """Take over SIGTERM, unless somebody has or this is not the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        # The pipe is shared with forked children: their signals must not wake the parent's watcher.
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
        signal.signal(signal.SIGTERM, self._handle)
        self._is_installed = True
        threading.Thread(target=self._watch, args=(reader,), name="dkist-task-termination", daemon=True).start()

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
        if os.getpid() != self._process_id:
            self._send_open_spans()  # in a forked child, which is ended as it would be without this handler
            die_of_sigterm()
        if self._decided.is_set():
            return
        is_lost = self.is_received and not self._is_held and not self._is_due and self._raised() is None
        if self.is_received and not is_lost:
            return
        self.is_received = True
        self._report_once(frame)
        if self._is_held:
            self._is_due = True
        elif has_cancelled_event_loop(frame):
            asked = TaskTerminated("SIGTERM")
            self._raised = lambda: asked
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

    def _watch(self, reader: int) -> None:
        """Wait for SIGTERM, then make sure that the task unwinds or that its spans are sent."""
        while (woken_by := os.read(reader, 1)) and signal.SIGTERM not in woken_by:
            pass  # another signal that the task handles
        if self._decided.wait(PATIENCE_SECONDS):
            return
        # Native code keeps the handler waiting: this thread can see where the main thread is.
        self._report_once(sys._current_frames().get(threading.main_thread().ident or 0))  # noqa: SLF001 documented
        self._send_open_spans()
        while not self._decided.wait(LOOK_SECONDS):
            if self.is_received and not self._is_held and self._raised() is None:
                # A destructor or a bare "except" has swallowed it: the handler raises it again.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


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
    """Make SIGTERM call `send_open_spans` before it ends this process."""

    def handle(_signal_number: int, _frame: FrameType | None) -> None:
        send_open_spans()
        die_of_sigterm()

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, handle)


def die_of_sigterm() -> NoReturn:
    """End this process as SIGTERM ends one that does not handle it."""
    flush_streams()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(128 + signal.SIGTERM)  # not reached, unless SIGTERM is blocked
