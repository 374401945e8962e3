"""The base class of a processing step; ``python -m dkist_task`` runs one."""

from __future__ import annotations

from dkist_task.__about__ import __version__
from dkist_task.errors import RequestError, SettingError, TaskError
from dkist_task.identity import dag_id
from dkist_task.outcome import TaskSkipped
from dkist_task.settings import TaskSettings
from dkist_task.task import TaskBase

__all__ = [
    "RequestError",
    "SettingError",
    "TaskBase",
    "TaskError",
    "TaskSettings",
    "TaskSkipped",
    "__version__",
    "dag_id",
]
