"""The base class of a processing step; ``python -m dkist_task`` runs one."""

from __future__ import annotations

from dkist_task.__about__ import __version__
from dkist_task.errors import RequestError, TaskError
from dkist_task.task import TaskBase

__all__ = ["RequestError", "TaskBase", "TaskError", "__version__"]
