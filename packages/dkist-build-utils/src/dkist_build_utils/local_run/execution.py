"""Running the steps of a plan: what starts when, what follows from an end, and how all of it is stopped."""

from __future__ import annotations

import heapq
import selectors
import time
from collections import deque
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from dkist_build_utils.local_run.attempt import Attempt
from dkist_build_utils.local_run.ending import Ending
from dkist_build_utils.local_run.plan import RUN, LocalTask
from dkist_build_utils.local_run.process import AttemptFiles, AttemptProcess
from dkist_build_utils.local_run.summary import summary_of_attempt, summary_of_step, summary_without_attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dkist_build_utils.local_run.guard import Guard
    from dkist_build_utils.local_run.interruption import Interruption
    from dkist_build_utils.local_run.journal import Journal
    from dkist_build_utils.local_run.plan import Step
    from dkist_build_utils.local_run.progress import Progress
    from dkist_build_utils.local_run.summary import TaskSummary

    StartProcess = Callable[[str, AttemptFiles, LocalTask, int], AttemptProcess]
    """Starts the process of an attempt, given its key, its files, the task and the number of the try."""


class Running:
    """An attempt that goes on."""

    def __init__(self, task: LocalTask, try_number: int, process: AttemptProcess) -> None:
        self.task = task
        self.try_number = try_number
        self.process = process
        self.started = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        self._start = time.monotonic()

    def attempt(self, ending: Ending, peak_memory_bytes: int | None, cpu_seconds: float | None) -> Attempt:
        """Return what the journal says of it."""
        return Attempt(
            task=self.task.name,
            try_number=self.try_number,
            result=ending.result,
            fingerprint=self.task.fingerprint,
            started=self.started,
            seconds=round(time.monotonic() - self._start, 3),
            peak_memory_bytes=ending.peak_memory_bytes or peak_memory_bytes,
            cpu_seconds=ending.cpu_seconds if ending.cpu_seconds is not None else cpu_seconds,
            exit_status=ending.exit_status,
            signal=ending.signal,
            error_type=ending.error_type,
            error=ending.error,
            reason=ending.reason,
            can_retry=ending.can_retry,
        )


class Execution:
    """One command's run of the steps of a plan.

    Parameters
    ----------
    steps : collection of Step
        What happens to each task; every task comes after its upstreams.
    folder : Path
        The run folder.
    journal : Journal
        Where each end is written before anything follows from it.
    guard : Guard
        What starts processes and says when they end.
    start_process : callable
        Starts the process of an attempt, given its key, its files, the task and the try.
    jobs : int
        How many tasks run at once.
    progress : Progress
        Reports what happens.
    interruption : Interruption
        The signals that came.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        folder: Path,
        journal: Journal,
        guard: Guard,
        start_process: StartProcess,
        jobs: int,
        progress: Progress,
        interruption: Interruption,
    ) -> None:
        self._steps = {step.task.name: step for step in steps}
        self._folder = folder
        self._journal = journal
        self._guard = guard
        self._start_process = start_process
        self._jobs = jobs
        self._progress = progress
        self._interruption = interruption
        to_run = [step.task for step in steps if step.action == RUN]
        names = {task.name for task in to_run}
        self._missing = {task.name: names.intersection(task.upstreams) for task in to_run}
        """The upstreams that each task still waits for."""
        self._ready = deque(task for task in to_run if not self._missing[task.name])
        self._running: dict[str, Running] = {}
        self._tries: dict[str, int] = dict.fromkeys(names, 0)
        self._blocked: dict[str, str] = {}
        """The tasks that will not run, with the upstream that failed."""
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._waiting_retries = 0
        self._numbers = count()
        self._selector = selectors.DefaultSelector()
        self._ended: list[tuple[Running, Attempt]] = []

    def run(self) -> None:
        """Run everything that can be run.

        Raises
        ------
        JournalError
            The journal cannot be written.
        GuardError
            The process that starts tasks is gone.
        """
        self._progress.begin(tuple(self._steps.values()))
        with self._selector:
            self._selector.register(self._guard, selectors.EVENT_READ, self._hear_guard)
            self._selector.register(self._interruption, selectors.EVENT_READ, self._hear_signals)
            if self._progress.tick_seconds is not None:
                self._tick()
            if self._interruption.has_news():
                self._hear_signals()  # it came before anything started, so nothing does
            try:
                while self._is_going_on():
                    self._start_ready()
                    self._wait()
                    self._settle()
            finally:
                for running in self._running.values():
                    running.process.close()
        self._progress.finish()

    def summaries(self) -> Iterator[TaskSummary]:
        """Yield what became of each task."""
        for name, step in self._steps.items():
            attempt = self._journal.record.last.get(name)
            if step.action != RUN:
                yield summary_of_step(step)
            elif attempt is None or not self._tries[name]:
                yield summary_without_attempt(name, self._blocked.get(name))
            else:
                log = AttemptFiles.of(self._folder, name, attempt.try_number).log
                yield summary_of_attempt(attempt, self._tries[name], log)

    def _is_going_on(self) -> bool:
        if self._interruption.count:
            return bool(self._running)
        return bool(self._running or self._ready or self._waiting_retries)

    def _start_ready(self) -> None:
        while self._ready and len(self._running) < self._jobs and not self._interruption.count:
            self._start(self._ready.popleft())

    def _start(self, task: LocalTask) -> None:
        try_number = self._journal.record.tries.get(task.name, 0) + 1
        self._journal.begin(task.name, try_number, task.fingerprint)
        key = f"{task.name}-{try_number}"
        process = self._start_process(key, AttemptFiles.of(self._folder, task.name, try_number), task, try_number)
        self._running[key] = Running(task, try_number, process)
        self._tries[task.name] += 1
        for descriptor, read in process.readers.items():
            self._selector.register(descriptor, selectors.EVENT_READ, self._reader(process, descriptor, read))
        if task.settings.timeout_seconds is not None:
            self._after(task.settings.timeout_seconds, lambda: self._time_out(key, task))
        self._progress.start(task.name, try_number, lambda: process.log.last_line)

    def _reader(self, process: AttemptProcess, descriptor: int, read: Callable[[], bool]) -> Callable[[], None]:
        """Return what reads from a process and, at the end of the pipe, no longer waits for it."""

        def serve() -> None:
            if descriptor not in process.readers:
                return  # the end of the process was heard in the same moment, and its pipe read to the end
            if not read() and descriptor not in process.readers:
                self._selector.unregister(descriptor)

        return serve

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), action))

    def _tick(self) -> None:
        self._progress.tick()
        self._after(self._progress.tick_seconds or 1, self._tick)

    def _wait(self) -> None:
        """Wait for what happens next and take it."""
        timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
        for selected, _ in self._selector.select(timeout):
            selected.data()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def _hear_guard(self) -> None:
        message = self._guard.receive()
        running = self._running.pop(message.get("ended") or message["failed"])
        for descriptor in running.process.readers:
            self._selector.unregister(descriptor)
        if "ended" in message:
            ending = running.process.finish(message["status"])
            attempt = running.attempt(ending, message["peak_memory_bytes"], message["cpu_seconds"])
        else:
            running.process.close()
            attempt = running.attempt(Ending("error", message["reason"]), None, None)
        self._ended.append((running, attempt))

    def _hear_signals(self) -> None:
        name = self._interruption.receive()
        if name is None:
            return
        if self._interruption.count > 1:
            self._progress.say("killing")
            self._guard.kill()
        else:
            self._progress.say(f"{name}: stopping; what is done is kept; once more kills")
            for running in self._running.values():
                running.process.stop("cancellation", f"the command got {name}")

    def _time_out(self, key: str, task: LocalTask) -> None:
        running = self._running.get(key)
        if running is not None:
            running.process.stop("timeout", f"timeout of {task.settings.timeout_seconds:g} s")

    def _settle(self) -> None:
        """Write the attempts that ended to the disk, then do what follows from them."""
        if not self._ended:
            return
        ended, self._ended = self._ended, []
        self._journal.append(attempt for _, attempt in ended)
        for running, attempt in ended:
            task = running.task
            if running.process.log.problem:
                self._progress.say(running.process.log.problem)
            has_tries = self._tries[task.name] <= task.settings.retries
            if attempt.is_done:
                self._progress.end(attempt, None)
                self._release(task.name)
            elif has_tries and attempt.can_retry and not self._interruption.count:
                self._progress.end(attempt, task.settings.retry_delay_seconds)
                self._waiting_retries += 1
                self._after(task.settings.retry_delay_seconds, partial(self._retry, task))
            else:
                self._progress.end(attempt, None)
                if not self._interruption.count:
                    self._block(task.name)

    def _retry(self, task: LocalTask) -> None:
        self._waiting_retries -= 1
        self._ready.append(task)

    def _release(self, name: str) -> None:
        """Make the tasks ready that waited for this one last."""
        for waiting, missing in self._missing.items():
            if name in missing:
                missing.discard(name)
                if not missing and waiting not in self._blocked:
                    self._ready.append(self._steps[waiting].task)

    def _block(self, name: str) -> None:
        """Give up the tasks downstream of one that failed."""
        failed = {name}
        for waiting, missing in self._missing.items():  # in their order, so one pass finds all
            if missing & failed and waiting not in self._blocked:
                failed.add(waiting)
                self._blocked[waiting] = name
                self._progress.block(waiting, f"upstream {name} failed")
