"""Faults of a package or a release, and the exceptions of this distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, order=True)
class Fault:
    """One thing to fix."""

    where: str
    """The module, DAG id, file or lock that has the fault."""
    task: str | None
    """The task, if one task has the fault."""
    problem: str
    """What is wrong, and how to fix it."""

    def __str__(self) -> str:
        place = self.where if self.task is None else f"{self.where}: task {self.task!r}"
        return f"{place}: {self.problem}"


class BuildError(Exception):
    """A command cannot do what it was asked to do; the base of every exception of this distribution."""


class FaultsError(BuildError, ValueError):
    """All faults of a package or a release at once.

    Parameters
    ----------
    subject : str
        What has the faults.
    faults : iterable of Fault
        At least one.
    """

    def __init__(self, subject: str, faults: Iterable[Fault]) -> None:
        self.subject = subject
        self.faults = tuple(dict.fromkeys(faults))
        lines = [f"{subject}: {counted(len(self.faults), 'fault')}", *(f"  {fault}" for fault in self.faults)]
        super().__init__("\n".join(lines))


class NewerManifestError(BuildError):
    """A manifest was written by a newer version of this distribution."""


class SignatureError(BuildError):
    """A signature is missing, does not fit or is not by somebody who may sign."""


class SpansError(BuildError, ValueError):
    """A folder holds no spans to draw."""


class RecordError(BuildError, ValueError):
    """A folder holds no record of a run, or records of several."""


class UvError(BuildError):
    """A run of uv failed; the message is what uv printed."""


class MissingWheelError(UvError):
    """The wheel of the instrument is neither in a folder of wheels nor on the index."""


class GuardError(BuildError):
    """The process that starts tasks is gone."""


class JournalError(BuildError):
    """A run folder's journal cannot be used or written."""


class GitError(BuildError):
    """git could not answer; the message is its own."""


class NotUnderstoodError(BuildError, ValueError):
    """A call in a client cannot be rewritten without a person; the message says what to do."""


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 fault``, ``2 faults``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
