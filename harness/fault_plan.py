"""Which faults are injected, and in which order: chosen by a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.fault_package import FATES, FEW, ONCE, TWICE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

RETRY = ("retry-fails", "retry-passes")
"""Kinds of a task with one retry: both attempts raise, or only the first one."""

HAND = {
    "mark-task": 8,
    "mark-run": 6,
    "mark-success": 3,
    "clear-running": 3,
    "mark-task-early": 10,
    "mark-run-early": 8,
    "mark-ended": 6,
    "clear-failed": 6,
}
"""What a person does to a run through the API, with a weight each. The first four find tasks that run; *early* finds
none that has begun, and *ended* a run that has succeeded."""

MACHINE = {
    "kill-dag-processor": 4,
    "kill-scheduler": 3,
    "kill-api-server": 3,
    "kill-broker": 2,
    "stop-broker": 2,
    "block-broker": 1,
    "fill-spool": 3,
    "lock-spool": 2,
    "lose-spool": 2,
}
"""What happens to a component or a disk, with a weight each; it ends some seconds later. *Lock* makes the disk
read-only, *lose* deletes what is on it, with the record of what was confirmed."""

TASK_WEIGHT = 40
"""Weight of a run whose tasks each end badly by themselves."""

KINDS = (*FATES, *RETRY, *HAND, *MACHINE)
"""Every kind of fault."""


@dataclass(frozen=True)
class PlannedRun:
    """A recipe run to start."""

    number: int
    """Its recipe run id."""
    workflow: str
    """The process name: ``many`` or ``few``."""
    kinds: Mapping[str, str]
    """The kind of fault that befalls each task."""
    fates: Mapping[str, tuple[str, ...]]
    """How each attempt of each task is to end; the last fate is that of all later attempts too."""
    hand: str | None = None
    """What a person does to it: one of `HAND`."""

    @property
    def faults(self) -> int:
        """How many faults it brings."""
        is_one = self.hand in {"mark-run", "mark-run-early", "clear-running"}
        return 1 if is_one else len(self.kinds) + (self.hand == "clear-failed")


@dataclass(frozen=True)
class Trouble:
    """Something that happens to a component or a disk."""

    kind: str
    """One of `MACHINE`."""
    seconds: float
    """How long it lasts."""
    faults: int = 1
    """It is one fault."""


def plan(seed: int, count: int, kinds: Collection[str] = KINDS) -> Iterator[PlannedRun | Trouble]:
    """Yield what to do, in order, until it brings a number of faults.

    Parameters
    ----------
    seed : int
        The same seed gives the same plan.
    count : int
        How many faults to bring at least.
    kinds : Collection[str], optional
        The kinds to choose from.
    """
    chance = random.Random(seed)
    of_tasks = [kind for kind in (*FATES, *RETRY) if kind in kinds]
    weights = {**({"tasks": TASK_WEIGHT} if of_tasks else {}), **HAND, **MACHINE}
    weights = {kind: weight for kind, weight in weights.items() if kind == "tasks" or kind in kinds}
    number = planned = 0
    while planned < count:
        (kind,) = chance.choices(list(weights), list(weights.values()))
        step: PlannedRun | Trouble
        if kind in MACHINE:
            step = Trouble(kind, chance.uniform(3, 12))
        else:
            number += 1
            step = _many(chance, number, of_tasks) if kind == "tasks" else _few(chance, number, kind)
        planned += step.faults
        yield step


def _many(chance: random.Random, number: int, kinds: list[str]) -> PlannedRun:
    once = [kind for kind in kinds if kind in FATES]
    twice = [kind for kind in kinds if kind in RETRY]
    chosen = {task: chance.choice(once) for task in ONCE if once}
    chosen |= {task: chance.choice(twice) for task in TWICE if twice}
    fates: dict[str, tuple[str, ...]] = dict.fromkeys((*ONCE, *TWICE), ("pass",))
    for task, kind in chosen.items():
        fates[task] = {"retry-fails": ("raise", "raise"), "retry-passes": ("raise", "pass")}.get(kind, (kind,))
    return PlannedRun(number, "many", chosen, fates)


def _few(chance: random.Random, number: int, kind: str) -> PlannedRun:
    fate: tuple[str, ...] = ("sleep", "pass")
    if kind == "mark-ended":
        fate = ("pass",)
    fates = dict.fromkeys(FEW, fate)
    if kind == "clear-failed":
        fates = {task: ("raise", chance.choice(("raise", "pass", "kill"))) for task in FEW}
    return PlannedRun(number, "few", dict.fromkeys(FEW, kind), fates, hand=kind)
