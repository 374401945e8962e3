"""Each task of a workflow as an Airflow operator that runs in its own Python environment."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dkist_airflow_node.__about__ import __version__
from dkist_airflow_node.errors import AirflowNodeError, AirflowNotInstalledError

if TYPE_CHECKING:
    from dkist_airflow_node.dag import Lock, render_dag_file
    from dkist_airflow_node.messages import FailureMessage, alert_text, knows_more, merged, publish_failure

__all__ = [
    "AirflowNodeError",
    "AirflowNotInstalledError",
    "FailureMessage",
    "Lock",
    "__version__",
    "alert_text",
    "knows_more",
    "merged",
    "publish_failure",
    "render_dag_file",
]

_ROOMS = {
    "FailureMessage": "messages",
    "Lock": "dag",
    "alert_text": "messages",
    "knows_more": "messages",
    "merged": "messages",
    "publish_failure": "messages",
    "render_dag_file": "dag",
}
"""Where names come from when they are asked for: Airflow imports this package, for its plug-in, in every process."""


def __getattr__(name: str) -> Any:
    """Return a public name of a room, and import the room first."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
