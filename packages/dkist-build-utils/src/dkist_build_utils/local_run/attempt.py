"""One attempt at one task, as a line of the journal says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

DONE_RESULTS = ("success", "skip")
"""Results after which the tasks downstream run."""


@dataclass(frozen=True)
class Fingerprint:
    """What a task was run from: where it differs today, the task runs again."""

    entry_point: str = ""
    """``MODULE:CLASS``."""
    distribution: str = ""
    """Name and version of the distribution that holds the module, empty where none is installed."""
    source: str = ""
    """SHA-256 of the source of the task's own module, empty where it has none or its lock says it all."""
    environment: str = ""
    """The Python, or the Python and the digest of the lock."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """The workflow's parameters besides the recipe run id."""

    def change_to(self, other: Fingerprint) -> str | None:
        """Return in words what makes `other` differ from this one, None where nothing does."""
        if self.distribution != other.distribution:
            return f"code changed: {self.distribution or 'not installed'}, now {other.distribution or 'not installed'}"
        if (self.entry_point, self.source) != (other.entry_point, other.source):
            return f"code changed: {other.entry_point.partition(':')[0]}"
        if self.environment != other.environment:
            return f"environment changed: {self.environment}, now {other.environment}"
        if self.parameters != other.parameters:
            return "parameters changed"
        return None


@dataclass(frozen=True)
class Attempt:
    """One attempt at one task that has ended."""

    task: str
    """Name of the task."""
    try_number: int
    """1 for the first attempt at the task in this run folder."""
    result: str
    """``success``, ``skip``, ``failure``, ``timeout``, ``cancellation`` or ``error`` (not the task's fault)."""
    fingerprint: Fingerprint
    """What it was run from."""
    started: str = ""
    """When it began, ISO 8601, UTC."""
    seconds: float = 0.0
    """How long it took."""
    peak_memory_bytes: int | None = None
    """The most memory that its process had."""
    cpu_seconds: float | None = None
    """Processor time of its process and those it waited for."""
    exit_status: int | None = None
    """None where a signal ended it."""
    signal: str | None = None
    """The signal that ended it."""
    error_type: str | None = None
    """Class of the task's own error."""
    error: str | None = None
    """Text of the task's own error."""
    reason: str | None = None
    """In one text why it ended as it did."""
    can_retry: bool = True
    """False where trying again cannot help."""

    @property
    def is_done(self) -> bool:
        """Whether the tasks downstream may run."""
        return self.result in DONE_RESULTS

    def to_entry(self) -> dict[str, Any]:
        """Return the members of a line of the journal."""
        return asdict(self)

    @classmethod
    def from_entry(cls, entry: dict[str, Any]) -> Self:
        """Return what a line says; members that a later version added are passed over."""
        members = {name: entry[name] for name in (each.name for each in fields(cls)) if name in entry}
        known = {each.name for each in fields(Fingerprint)}
        given = {name: value for name, value in members["fingerprint"].items() if name in known}
        return cls(**(members | {"fingerprint": Fingerprint(**given)}))
