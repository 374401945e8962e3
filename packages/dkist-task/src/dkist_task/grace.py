"""How long the end of a task may take: every grace period of the task's own process.

The runner of an exported DAG sends SIGKILL some seconds after SIGTERM; these periods must fit into that time. A
test compares `longest_stop` with it.
"""

from __future__ import annotations

PATIENCE_SECONDS = 1.0
"""How long a task may take to unwind before its open spans are sent without waiting for it."""

CLOSE_SECONDS = 2.2
"""Longest that sending and closing may take, whatever a collector does."""

PROMISE_SECONDS = 3.0
"""Longest from a task's last line to the end of its process: `CLOSE_SECONDS` and the interpreter's own end."""


def longest_stop() -> float:
    """Return how many seconds after SIGTERM the spans of a task are sent, even one that does not unwind at once."""
    return PATIENCE_SECONDS + CLOSE_SECONDS + PROMISE_SECONDS
