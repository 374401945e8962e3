"""What can be wrong with a package of workflows or a release, and the exceptions that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, order=True)
class Fault:
    """One thing to mend."""

    where: str
    """The module, DAG id, file or lock it was found in."""
    task: str | None
    """The task, where it is one task's fault."""
    problem: str
    """What is wrong, and how to mend it."""

    def __str__(self) -> str:
        place = self.where if self.task is None else f"{self.where}: task {self.task!r}"
        return f"{place}: {self.problem}"


class BuildError(Exception):
    """Something that a build pipeline asked for cannot be done; the base of every exception of this distribution."""


class FaultsError(BuildError, ValueError):
    """
    All the faults that were found, at once.

    Parameters
    ----------
    subject
        What they were found in.
    faults
        At least one.
    """

    def __init__(self, subject: str, faults: Iterable[Fault]) -> None:
        self.subject = subject
        self.faults = tuple(dict.fromkeys(faults))
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n".join([f"{subject}: {count}", *(f"  {fault}" for fault in self.faults)]))
