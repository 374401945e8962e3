"""What a spawned child of `multiprocessing` runs before its own work, so that its spans join its parent's trace.

Such a child starts as a fresh interpreter that imports its parent's main module under the name ``__mp_main__``.
`adopt_children` makes that this module.
"""

from __future__ import annotations

import importlib.util
import os
import sys

CHILD_MODULE = "dkist_task.launcher.child"


def adopt_children() -> None:
    """Let the children that this process spawns run this module first, where the launcher is its main module."""
    main_module = sys.modules["__main__"]
    spec = getattr(main_module, "__spec__", None)
    if spec is not None and spec.name == "dkist_task.__main__":
        main_module.__spec__ = importlib.util.find_spec(CHILD_MODULE)


def _join_parent() -> None:
    """Set up tracing from the variables that the launcher left, and hang under its span."""
    # The launcher imports this module for one function: what a child needs waits until there is one.
    from opentelemetry.context import attach

    from dkist_task.identity import TaskIdentity
    from dkist_task.launcher.ending import stop_of
    from dkist_task.launcher.termination import send_spans_before_death
    from dkist_task.outcome import TERMINATED, TIMED_OUT
    from dkist_task.telemetry import parent_context, start_child_telemetry

    identity = TaskIdentity.from_environment(os.environ)
    telemetry = start_child_telemetry(identity, os.environ)
    if telemetry.spans is not None:
        telemetry.spans.send_at_child_exit()

    def send_open_spans() -> None:
        is_timeout, _ = stop_of(os.environ.get("DKIST_STOP_FILE", ""))
        telemetry.send_open_spans(TIMED_OUT if is_timeout else TERMINATED)

    send_spans_before_death(send_open_spans)
    attach(parent_context(identity, os.environ))


if __name__ == "__mp_main__":
    _join_parent()
