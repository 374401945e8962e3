"""The base class of a processing step; ``python -m dkist_task`` runs one."""

from dkist_task.__about__ import __version__
from dkist_task._errors import RequestError, TaskError
from dkist_task._task import TaskBase

__all__ = ["RequestError", "TaskBase", "TaskError", "__version__"]
