"""What a run came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkist_build_utils.local_run.plan import KEEP, LEAVE

if TYPE_CHECKING:
    from dkist_build_utils.local_run.attempt import Attempt
    from dkist_build_utils.local_run.plan import Step

DONE_STATES = ("success", "skip", "kept", "left")


@dataclass(frozen=True)
class TaskSummary:
    """What became of a task."""

    name: str
    """Its name in the workflow."""
    state: str
    """``success``, ``skip``, ``kept``, ``left`` (not asked for), or ``failure``, ``timeout``, ``error``,
    ``cancellation``, ``upstream failed``, ``not run``."""
    seconds: float | None = None
    """How long its last attempt took."""
    peak_memory_bytes: int | None = None
    """The most memory of its last attempt."""
    cpu_seconds: float | None = None
    """Processor time of its last attempt."""
    tries: int = 0
    """Attempts in this run."""
    reason: str | None = None
    """Why it ended as it did, or did not run."""
    error_type: str | None = None
    """Class of the task's own error."""
    log: Path | None = None
    """The log of its last attempt."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.state in DONE_STATES

    @property
    def is_failed(self) -> bool:
        """Whether it ran and failed."""
        return self.state in {"failure", "timeout", "error"}


@dataclass(frozen=True)
class RunSummary:
    """What a run came to."""

    workflow: str
    """Name of the workflow."""
    version: str
    """Its version."""
    recipe_run_id: int
    """The recipe run."""
    folder: Path
    """The run folder."""
    seconds: float
    """How long the command took."""
    tasks: tuple[TaskSummary, ...]
    """In the order of the workflow."""
    timeline: Path | None = None
    """The drawing of the run; None where no task left spans."""

    @property
    def is_done(self) -> bool:
        """Whether everything that was asked for is done."""
        return all(task.is_done for task in self.tasks)

    def task(self, name: str) -> TaskSummary:
        """Return what became of a task; LookupError if the workflow has none of this name."""
        for task in self.tasks:
            if task.name == name:
                return task
        known = ", ".join(task.name for task in self.tasks)
        raise LookupError(f"workflow {self.workflow!r} has no task {name!r}; it has {known}")

    def to_object(self) -> dict[str, Any]:
        """Return the same for machines."""
        members = {"is_done": self.is_done, **asdict(self)}
        return {name: _plain(value) for name, value in members.items()}


def summary_of_step(step: Step) -> TaskSummary:
    """Return what became of a task that was not to run."""
    return TaskSummary(step.task.name, {KEEP: "kept", LEAVE: "left"}[step.action], reason=step.reason)


def summary_without_attempt(name: str, failed_upstream: str | None) -> TaskSummary:
    """Return what became of a task that was to run and did not begin."""
    if failed_upstream is None:
        return TaskSummary(name, "not run", reason="the run was stopped before")
    return TaskSummary(name, "upstream failed", reason=f"upstream {failed_upstream} failed")


def summary_of_attempt(attempt: Attempt, tries: int, log: Path) -> TaskSummary:
    """Return what became of a task by its last attempt."""
    return TaskSummary(
        attempt.task,
        attempt.result,
        seconds=attempt.seconds,
        peak_memory_bytes=attempt.peak_memory_bytes,
        cpu_seconds=attempt.cpu_seconds,
        tries=tries,
        reason=attempt.reason,
        error_type=attempt.error_type,
        log=log,
    )


def _plain(value: Any) -> Any:
    """Return a value that JSON has."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
