"""Which tasks of a workflow run, which are kept, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from dkist_build_utils.errors import BuildError
from dkist_build_utils.local_run.attempt import Fingerprint
from dkist_task import TaskSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from dkist_build_utils.local_run.journal import Record

RUN, KEEP, LEAVE = "run", "keep", "leave"


@dataclass(frozen=True)
class LocalTask:
    """A task of a workflow, as this machine runs it."""

    name: str
    """Its name in the workflow."""
    upstreams: tuple[str, ...] = ()
    """The names of the tasks that it comes after."""
    settings: TaskSettings = field(default_factory=TaskSettings)
    """Retries, their delay and the time limit."""
    fingerprint: Fingerprint = field(default_factory=Fingerprint)
    """What it would be run from today."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables of its own."""


@dataclass(frozen=True)
class LocalWorkflow:
    """A workflow, as this machine runs it."""

    name: str
    """Its name, without the version."""
    version: str
    """Its version."""
    tasks: tuple[LocalTask, ...]
    """Every task comes after its upstreams."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables of every task."""
    runner: Mapping[str, str] | None = None
    """The modules of the runner, which runs each task in the environment of its lock; None to use this environment."""


@dataclass(frozen=True)
class Selection:
    """The part of a workflow that was asked for."""

    names: frozenset[str]
    """The tasks that may run."""
    again: frozenset[str]
    """The tasks that run although nothing else says so."""

    @classmethod
    def of(
        cls,
        tasks: Sequence[LocalTask],
        *,
        start: str | None = None,
        until: str | None = None,
        only: Collection[str] = (),
        fresh: bool = False,
    ) -> Self:
        """Return what the options of the command ask for.

        Parameters
        ----------
        tasks : collection of LocalTask
            All of the workflow's.
        start : str, optional
            This task and all downstream of it run again.
        until : str, optional
            Nothing runs but this task and all upstream of it.
        only : collection of str, optional
            Nothing runs but these, and they do.
        fresh : bool, optional
            Everything runs again.

        Raises
        ------
        BuildError
            The workflow has no task of a name, or nothing lies between `start` and `until`.
        """
        known = [task.name for task in tasks]
        for name in filter(None, (start, until, *only)):
            if name not in known:
                raise BuildError(f"the workflow has no task {name!r}; it has {', '.join(known)}")
        names = set(only) or (_upstream_of(until, tasks) if until else set(known))
        again = set(only) or (_downstream_of(start, tasks) if start else set())
        if again.isdisjoint(names) and start:
            raise BuildError(f"task {until!r} is not downstream of {start!r}: nothing lies between the two")
        return cls(frozenset(names), frozenset(names if fresh else again & names))


@dataclass(frozen=True)
class Step:
    """What happens to one task."""

    task: LocalTask
    """The task."""
    action: str
    """``run``, ``keep`` (it is done) or ``leave`` (it was not asked for)."""
    reason: str
    """Why."""


def plan(tasks: Iterable[LocalTask], record: Record, selection: Selection) -> tuple[Step, ...]:
    """Return a step for each task, in their order.

    Parameters
    ----------
    tasks : collection of LocalTask
        Every task comes after its upstreams.
    record : Record
        What the journal says.
    selection : Selection
        What was asked for.
    """
    steps: dict[str, Step] = {}
    for task in tasks:
        if task.name not in selection.names:
            steps[task.name] = Step(task, LEAVE, "not asked for")
            continue
        reason = _reason_to_run(task, record, selection, steps)
        done = record.last.get(task.name)
        kept = "done" if done is None else f"{done.result} at {done.started[:19]}Z, try {done.try_number}"
        steps[task.name] = Step(task, KEEP, kept) if reason is None else Step(task, RUN, reason)
    return tuple(steps.values())


def _reason_to_run(task: LocalTask, record: Record, selection: Selection, steps: dict[str, Step]) -> str | None:
    """Return why a task runs, None where it is kept."""
    last = record.last.get(task.name)
    if task.name in selection.again or task.name in record.asked:
        return "asked for"
    if record.is_interrupted(task.name) or (last is not None and last.result == "cancellation"):
        return "interrupted"
    if last is None:
        return "never ran"
    if not last.is_done:
        return f"failed: {last.reason or last.result}"
    return last.fingerprint.change_to(task.fingerprint) or _change_upstream(task, record, steps)


def _change_upstream(task: LocalTask, record: Record, steps: dict[str, Step]) -> str | None:
    """Return which upstream makes a task out of date, None where none does."""
    for upstream in task.upstreams:
        if steps[upstream].action == RUN:
            return f"upstream {upstream} runs again"
        if record.places.get(upstream, 0) > record.places[task.name]:
            return f"upstream {upstream} ran again"
    return None


def _upstream_of(name: str, tasks: Sequence[LocalTask]) -> set[str]:
    """Return a task and all that it depends on."""
    found = {name}
    for task in reversed(tasks):
        if task.name in found:
            found.update(task.upstreams)
    return found


def _downstream_of(name: str, tasks: Sequence[LocalTask]) -> set[str]:
    """Return a task and all that depend on it."""
    found = {name}
    for task in tasks:
        if found.intersection(task.upstreams):
            found.add(task.name)
    return found
