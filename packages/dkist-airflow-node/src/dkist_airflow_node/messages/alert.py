"""A failure message as a person reads it, and which of several messages about one failure to show."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from dkist_airflow_node.messages.message import Source

if TYPE_CHECKING:
    from dkist_airflow_node.messages.message import FailureMessage

TEST_NAME = "test message"
"""Workflow, version and task of a message that was sent to try the bus: nothing has failed."""

KNOWLEDGE = (Source.WORKER, Source.RECONCILER, Source.LISTENER, Source.DAG_PROCESSOR)
"""Who knows most of a failure comes first: the worker has the exception, the reconciler what the log has."""


def knows_more(message: FailureMessage, other: FailureMessage) -> bool:
    """Return whether a message says more of a failure than another one about the same failure.

    Parameters
    ----------
    message, other : FailureMessage
        Two messages with one `idempotency_key`, of any version.

    Examples
    --------
    >>> from dkist_airflow_node import FailureMessage
    >>> facts = {"workflow_name": "vbi_l0", "workflow_version": "1.0.0", "task_name": "A", "dag_run_id": "r"}
    >>> late = FailureMessage(**facts, log_url=None, source="worker", reason="ValueError: no flats")
    >>> early = FailureMessage(**facts, log_url=None, source="dag-processor", reason="task_failure")
    >>> knows_more(late, early), knows_more(early, late)
    (True, False)
    """
    return _rank(message) < _rank(other)


def merged(message: FailureMessage, other: FailureMessage) -> FailureMessage:
    """Return the message that says more, with what only the other one knows.

    Parameters
    ----------
    message, other : FailureMessage
        Two messages with one `idempotency_key`, of any version. The first one is kept where none says more.
    """
    best, rest = (other, message) if knows_more(other, message) else (message, other)
    missing = [field.name for field in fields(best) if getattr(best, field.name) is None]
    return replace(best, **{name: getattr(rest, name) for name in missing})


def alert_text(message: FailureMessage) -> str:
    """Return what a person must know of a failure, in a few lines of text.

    Parameters
    ----------
    message : FailureMessage
        A message of any version. What it does not say is left out. A member may hold anything: it comes from outside.
    """
    test = "TEST, nothing has failed. " if message.task_name == TEST_NAME else ""
    what = f"task {message.task_name}" if message.task_name else "the run"
    recipe_run = "" if message.recipe_run_id is None else f" of recipe run {message.recipe_run_id}"
    lines = [
        f"{test}FAILED: {what}{recipe_run}, {message.workflow_name} {message.workflow_version}",
        *(line for line in str(message.reason or "").splitlines() if line.strip()),
        _attempt(message),
        _environment(message),
        f"Run {message.dag_run_id}." if message.dag_run_id else "",
        _reporter(message),
        f"Log: {message.log_url}" if message.log_url else "",
    ]
    return "\n".join(line for line in lines if line)


def _rank(message: FailureMessage) -> int:
    names = [str(source) for source in KNOWLEDGE]
    return names.index(message.source) if message.source in names else len(names)


def _attempt(message: FailureMessage) -> str:
    if message.try_number is None:
        return ""
    allowed = "" if message.max_tries is None else f" of {message.max_tries}"
    seconds = message.duration_seconds
    duration = f", after {_duration(seconds)}" if isinstance(seconds, int | float) and math.isfinite(seconds) else ""
    return f"Attempt {message.try_number}{allowed}{duration}."


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _environment(message: FailureMessage) -> str:
    environment = f"environment {str(message.environment)[:12]}" if message.environment else ""
    parts = [str(part) for part in (message.distribution, environment) if part]
    return f"Ran {', '.join(parts)}." if parts else ""


def _reporter(message: FailureMessage) -> str:
    if not message.source and not message.host:
        return ""
    time = f" at {str(message.time)[:19].replace('T', ' ')} UTC" if message.time else ""
    source = f" by the {message.source}" if message.source else ""
    return f"Reported{source}{f' on {message.host}' if message.host else ''}{time}."
