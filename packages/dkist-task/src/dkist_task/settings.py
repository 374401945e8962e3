"""What a task class asks of the engine that runs it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

from dkist_task.errors import SettingError

LIMIT = 10**9
"""Every setting is below this: the engine keeps durations as `timedelta`."""


@dataclass(frozen=True)
class TaskSettings:
    """The class attributes of a task that the engine reads: their names, their defaults, what they may be.

    Raises
    ------
    SettingError
        A value is one that the engine cannot use.
    """

    retries: int = 0
    """How often the engine runs the task again after a failure."""

    retry_delay_seconds: float = 60
    """How long the engine waits before it does."""

    timeout_seconds: float | None = None
    """How long the engine lets one attempt take, None for no limit."""

    def __post_init__(self) -> None:
        if not _is_number(self.retries, int) or self.retries < 0:
            raise SettingError("retries", "an integer of at least 0 and below 1e9", self.retries)
        if not _is_number(self.retry_delay_seconds, int, float) or self.retry_delay_seconds < 0:
            raise SettingError("retry_delay_seconds", "a number of at least 0 and below 1e9", self.retry_delay_seconds)
        if self.timeout_seconds is None:
            return
        if not _is_number(self.timeout_seconds, int, float) or self.timeout_seconds <= 0:
            raise SettingError("timeout_seconds", "None or a number above 0 and below 1e9", self.timeout_seconds)

    @classmethod
    def of(cls, task: type) -> Self:
        """Return the settings of a task class."""
        return cls(**{field.name: getattr(task, field.name) for field in fields(cls)})


def _is_number(value: object, *kinds: type) -> bool:
    """Return whether `value` is a number of one of the kinds and within the limit, which nan is not."""
    return (
        isinstance(value, kinds)
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < LIMIT
    )
