"""Waiting for everything at once, without a wake-up while nothing happens."""

from __future__ import annotations

import os
import select
import time

from .errors import StoppedError
from .processes import Children, spawn
from .signals import STOP_GRACE_SECONDS, STOP_SIGNALS, signal, signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .log import Output

NO_PIDFD_LOOK_SECONDS = 1.0
"""How often watched processes are looked for, only on kernels without pidfd_open (before 5.3)."""
BLOCK_BYTES = 65_536
TAIL_BYTES = 4_000
"""What is kept of a program's last output, for the reason of a failed build."""


class Supervisor:
    """Wait for everything at once: commands, signals, the death of what is watched, what programs write."""

    def __init__(self, output: Output, pipe: tuple[int, int]) -> None:
        self.output = output
        self.pipe, self.inlet = pipe
        """What programs write to: one pipe for all of them, in a place where the guardian has its end open, too."""
        self.children = Children()
        self.readers: dict[int, Callable[[int], object]] = {}
        self.polled: list[int] = []
        """Processes whose end this kernel does not report."""
        self.stopped: StoppedError | None = None
        self.is_ending = False
        """Set once a stop has been raised: it is raised once."""
        self.end_by = 0.0
        """Until when a stop waits for the reader of the log."""
        self.is_shown = True
        self.tail = b""
        self.is_running = False
        """Whether there is a program whose output counts. What a child that it left behind writes is read, and lost."""
        wakeup, self.wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self.wakeup, warn_on_full_buffer=False)
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # its byte in the pipe says all
        self.readers[wakeup] = self.read_signals
        self.readers[self.pipe] = self.read_program

    def stop(self, stop: str, text: str) -> None:
        """Ask for the end of the task; the first who does gives the reason."""
        if self.stopped is None:
            self.stopped = StoppedError(stop, text)

    def watch(self, pid: int, what: str) -> None:
        """Stop the task when a process is gone."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self.stop("cancellation", what)
        except OSError:  # cannot look: no sign of an end
            self.polled.append(pid)
        else:

            def is_gone(descriptor: int) -> None:
                del self.readers[descriptor]
                self.stop("cancellation", what)

            self.readers[descriptor] = is_gone

    def wait(self, seconds: float | None = None) -> None:
        """Serve what happens next, within some seconds; raise StoppedError once if the task is to end."""
        if self.polled:
            seconds = NO_PIDFD_LOOK_SECONDS if seconds is None else min(seconds, NO_PIDFD_LOOK_SECONDS)
        poll = select.poll()
        for descriptor in self.readers:
            if not (self.output.waiting and descriptor == self.pipe):
                poll.register(descriptor, select.POLLIN)
        if self.output.waiting:
            poll.register(self.output.descriptor, select.POLLOUT)
        if self.stopped is None or self.is_ending:
            for descriptor, _ in poll.poll(None if seconds is None else max(0, seconds) * 1000 + 0.5):
                if descriptor in self.readers:
                    self.readers[descriptor](descriptor)
                else:
                    self.output.write()
            self.look()
        if self.stopped is not None and not self.is_ending:
            self.is_ending = True
            self.end_by = time.monotonic() + STOP_GRACE_SECONDS
            raise self.stopped

    def look(self) -> None:
        """Look for the watched processes whose end this kernel does not report."""
        for pid in self.polled:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                self.stop("cancellation", f"process {pid}, which asked for the task, is gone")
            except OSError:
                continue  # there, but another user's

    def read_signals(self, descriptor: int) -> None:
        """Take the numbers of the signals that came."""
        for number in os.read(descriptor, 4096):
            if number in STOP_SIGNALS:
                self.stop("cancellation", f"the runner got {signal_name(number)}")

    def read_program(self, descriptor: int) -> int:
        """Take what a program wrote, and return how much that was."""
        try:
            block = os.read(descriptor, BLOCK_BYTES)
        except BlockingIOError:
            return 0
        if self.is_running:
            self.tail = (self.tail + block[-TAIL_BYTES:])[-TAIL_BYTES:]
            if self.is_shown:
                self.output.feed(block)
        return len(block)

    def start(
        self, command: list[str], environ: Mapping[str, str], *, folder: str | None = None, is_shown: bool = True
    ) -> None:
        """Start a program, with its output in the log, or only in `tail`."""
        self.tail, self.is_shown, self.is_running = b"", is_shown, True
        self.children.status = None
        self.children.awaited = spawn(command, environ, self.inlet, folder)

    def finish(self) -> int:
        """Wait for the end of the program, and return its status as `wait` gives it."""
        while self.children.reap() and self.children.status is None:
            self.wait()
        self.drain()
        return self.children.status or 0

    def drain(self) -> None:
        """Take what was in the pipe when the program ended, and not what a child of it may go on writing."""
        left = BLOCK_BYTES if self.is_running else 0  # a pipe holds no more
        while left > 0 and self.flush():
            left -= self.read_program(self.pipe) or left
        self.output.finish_line()
        self.is_running = False

    def flush(self) -> bool:
        """Wait until the reader has taken what waits for it; return False for one that stands still in a stop."""
        while self.output.waiting:
            left = self.end_by - time.monotonic() if self.is_ending else None
            if left is not None and left <= 0:
                return False
            self.wait(left)
        return True
