"""Class attributes of a task that look like a setting under a wrong name, which the engine would ignore."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING

from dkist_task import TaskBase, TaskSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTINGS = {each.name.removesuffix("_seconds"): each.name for each in fields(TaskSettings)}
"""The settings by their names without the unit."""
_UNIT = re.compile(r"_(s|secs?|seconds?|min|minutes?|hours?)$")
_OTHER_NAMES = {
    "retry": "retries",
    "max_retries": "retries",
    "number_of_retries": "retries",
    "execution_timeout": "timeout_seconds",
    "time_out": "timeout_seconds",
}
"""Names that Airflow and others give to the settings, too unlike ours for `difflib`."""
_LIKENESS = 0.8
"""The ratio of `difflib` from which a name is taken for a misspelling; 'exposure' and 'timeout' have 0.4."""


def setting_name_problems(task: type[TaskBase]) -> Iterator[str]:
    """Yield a text for each class attribute of a task that is nearly a setting.

    Only numbers, durations and None count, and only if the class does not have the setting itself as well.

    Examples
    --------
    >>> class Calibrate(TaskBase):
    ...     timeout = 30
    ...     exposure_seconds = 4
    ...     def run(self) -> None: ...
    >>> for problem in setting_name_problems(Calibrate):
    ...     print(problem.partition(" of ")[0])
    attribute 'timeout'
    """
    own = [kind for kind in task.__mro__ if issubclass(kind, TaskBase) and kind is not TaskBase]
    written = {name for kind in own for name in vars(kind)}
    for kind in own:
        for name, value in vars(kind).items():
            meant = _meant(name)
            if meant is None or meant in written or not isinstance(value, int | float | timedelta | None):
                continue
            yield (
                f"attribute {name!r} of {kind.__module__}.{kind.__qualname__} has no effect: the setting is called "
                f"{meant!r}; rename it, or give the class a {meant!r} too if {name!r} is something else"
            )


def _meant(name: str) -> str | None:
    """Return the setting that a name is nearly; None if it is one, or is like none."""
    if name.startswith("_") or name in _SETTINGS.values():
        return None
    stem = _UNIT.sub("", name.lower())
    if stem in _OTHER_NAMES:
        return _OTHER_NAMES[stem]
    likest = get_close_matches(stem, _SETTINGS, n=1, cutoff=_LIKENESS)
    # 'entries' is as like 'retries' as 'retires' is, so the first letter must be the same too.
    return _SETTINGS[likest[0]] if likest and likest[0][0] == stem[0] else None
