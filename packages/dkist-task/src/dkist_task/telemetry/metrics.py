"""What a run of a task costs, as OpenTelemetry metrics."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple, Self

from dkist_task.identity import RESULT, TASK_NAME

if TYPE_CHECKING:
    from dkist_task.identity import TaskIdentity
    from dkist_task.outcome import Outcome

DURATION_BUCKETS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 43200)
"""Seconds, from a trivial task to half a day."""

MEMORY_BUCKETS = tuple(2**exponent for exponent in range(26, 40))
"""Bytes, from 64 MiB to 512 GiB."""


class Usage(NamedTuple):
    """What a process has used up to a moment."""

    time_ns: int
    """The moment, in nanoseconds since the epoch."""

    monotonic: float
    """The moment, in seconds of a clock that is never set."""

    user: float
    """CPU seconds in user mode, of this process and of children that have ended."""

    system: float
    """The same in the kernel."""

    @classmethod
    def now(cls) -> Self:
        """Return what this process has used so far."""
        times = os.times()
        return cls(
            time.time_ns(),
            time.monotonic(),
            times.user + times.children_user,
            times.system + times.children_system,
        )


def record_metrics(identity: TaskIdentity, outcome: Outcome, start: Usage) -> None:
    """Record a run that began at `start` and ends now; run ids are kept out, as every one would make a new series."""
    if "opentelemetry.metrics" not in sys.modules:
        return  # nobody can have set a provider, and the import is not free
    from opentelemetry import metrics

    used = Usage.now()
    meter = metrics.get_meter("dkist_task")
    attributes = {
        "cicd.pipeline.name": identity.workflow_name,
        TASK_NAME: identity.task_name,
        RESULT: outcome.result,
    }
    if outcome.error_type:
        attributes["error.type"] = outcome.error_type
    meter.create_counter("dkist.task.runs", "{run}", "Runs of a task").add(1, attributes)
    meter.create_histogram(
        "dkist.task.duration",
        "s",
        "How long a run of a task took",
        explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
    ).record(used.monotonic - start.monotonic, attributes)
    cpu_time = meter.create_counter("process.cpu.time", "s", "CPU time of a run, with that of its child processes")
    cpu_time.add(used.user - start.user, {**attributes, "cpu.mode": "user"})
    cpu_time.add(used.system - start.system, {**attributes, "cpu.mode": "system"})
    peak = peak_memory()
    if peak is not None:
        meter.create_histogram(
            "dkist.task.memory.peak",
            "By",
            "Most physical memory that the process of a run held",
            explicit_bucket_boundaries_advisory=MEMORY_BUCKETS,
        ).record(peak, attributes)


def peak_memory() -> int | None:
    """Return the most physical memory this process held, in bytes; None where the kernel does not say.

    Not ``ru_maxrss``, which a process inherits from the one that started it.
    """
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
            lines = status.readlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
