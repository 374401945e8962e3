"""The facts of a failed task, in the context of an Airflow callback or in rows of Airflow's database.

Nothing here calls Airflow. On a worker the context is complete and has the exception. In the dag-processor it has less,
and the DAG's callback names one task of the run. A fact that is missing becomes None.
"""

from __future__ import annotations

import json
import re
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from dkist_airflow_node.messages.exported_dag import distribution_of, environment_of
from dkist_airflow_node.messages.message import FailureMessage, Source

KEY_NAMESPACE = uuid.UUID("0f4f8a67-0a3e-5c0f-9a55-0d6c1d3c1f5e")
MAXIMUM_TEXT = 1000
"""Longest text in a message, in characters: an exception's text may be a whole log."""

NOT_FAILED = frozenset({"success", "upstream_failed", "removed"})
"""States that the named task may be in before Airflow 3.2, which names the last task of the run."""

STOPPED_TYPE = "TaskTerminated"
"""Name of the exception of a task that SIGTERM has ended while its own code ran."""

STOPPED_BY_AIRFLOW = "Airflow stopped it"
"""What the operator of every DAG file says of a task that was ended before or after that."""

STOPPED = "the task was stopped from outside: it was marked or cleared, or its worker was shut down"

NO_EXCEPTION = "no exception is known: the task was stopped from outside, or its worker was lost"


@dataclass(frozen=True)
class FailedTask:
    """One task of one run that has failed."""

    dag_id: str | None
    """Airflow's DAG id."""

    run_id: str | None
    """Airflow's run id."""

    run_after: str | None
    """When the run was created, to the microsecond: a run may be deleted and another one created with the same id."""

    clear_number: int | None
    """How often tasks of the run had been cleared when the task failed."""

    task_id: str | None
    """Airflow's task id; None where only the run is known."""

    map_index: int
    """Index of the instance of a mapped task; -1 for any other task."""

    try_number: int | None
    """The attempt that failed."""

    log_url: str | None
    """Page of the log."""

    recipe_run_id: int | None
    """The parameter of the run."""

    reason: str | None
    """Type and text of the exception, or what else is known of the cause."""

    source: Source
    """The process that knows of the failure."""

    max_tries: int | None = None
    """How many attempts Airflow allows."""

    duration_seconds: float | None = field(default=None, compare=False)
    """How long the attempt took."""

    distribution: str | None = None
    """Name and version of the instrument package."""

    environment: str | None = None
    """SHA-256 of the task's lock."""

    @property
    def label(self) -> str:
        """The task's name in Airflow's answer to a question for states."""
        return f"{self.task_id}_{self.map_index}" if self.map_index >= 0 else self.task_id or ""

    @property
    def idempotency_key(self) -> str:
        """The same for one failure, whichever callback reports it; different after the run is cleared.

        It is made of facts that *every* callback knows; the DAG's callback knows no attempt numbers.
        """
        identity = [self.dag_id, self.run_id, self.run_after, self.clear_number, self.task_id, self.map_index]
        return str(uuid.uuid5(KEY_NAMESPACE, json.dumps(identity)))

    def message(self, *, workflow_name: str, workflow_version: str) -> FailureMessage:
        """Return a message that reports this failure, from this host and now.

        Parameters
        ----------
        workflow_name, workflow_version : str
            The workflow that the DAG was exported from.

        Returns
        -------
        FailureMessage
            The message.
        """
        return FailureMessage(
            workflow_name=_text(workflow_name) or "",
            workflow_version=_text(workflow_version) or "",
            task_name=self.task_id,
            dag_run_id=self.run_id,
            log_url=self.log_url,
            recipe_run_id=self.recipe_run_id,
            try_number=self.try_number,
            reason=self.reason,
            idempotency_key=self.idempotency_key,
            source=self.source,
            host=_text(socket.gethostname()),
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            max_tries=self.max_tries,
            duration_seconds=self.duration_seconds,
            distribution=_text(self.distribution),
            environment=_text(self.environment),
        )


def is_dag_callback(context: Mapping[str, Any]) -> bool:
    """Return whether the callback is the DAG's, which reports the whole run."""
    return "reason" in context


def is_worker_callback(context: Mapping[str, Any]) -> bool:
    """Return whether the callback runs in the task's own process."""
    return "exception" in context


def is_stopped(context: Mapping[str, Any]) -> bool:
    """Return whether the task was stopped from outside, which is a failure only if Airflow takes it for one."""
    exception = context.get("exception")
    return type(exception).__name__ == STOPPED_TYPE or STOPPED_BY_AIRFLOW in _exception_text(exception)


def named_task(context: Mapping[str, Any]) -> FailedTask:
    """Return the task that the context of a callback names."""
    instance = context.get("ti") or context.get("task_instance")
    run = context.get("dag_run")
    map_index = _whole_number(_attribute(instance, "map_index"))
    return FailedTask(
        dag_id=_text(_attribute(instance, "dag_id") or _attribute(context.get("dag"), "dag_id")),
        run_id=_text(context.get("run_id") or _attribute(instance, "run_id") or _attribute(run, "run_id")),
        run_after=_moment(_attribute(run, "run_after")),
        clear_number=_whole_number(_attribute(run, "clear_number")),
        task_id=_text(_attribute(instance, "task_id") or _attribute(context.get("task"), "task_id")),
        map_index=-1 if map_index is None else map_index,
        try_number=_whole_number(_attribute(instance, "try_number")),
        log_url=_text(_attribute(instance, "log_url")),
        recipe_run_id=_recipe_run_id(context.get("params"), _attribute(run, "conf")),
        reason=_reason(context),
        source=Source.WORKER if is_worker_callback(context) else Source.DAG_PROCESSOR,
        # For the DAG's callback Airflow makes an instance that has 0 here, whatever the task is allowed.
        max_tries=None if is_dag_callback(context) else attempts_allowed(_attribute(instance, "max_tries")),
        duration_seconds=_duration_seconds(instance, is_running=is_worker_callback(context)),
        distribution=distribution_of(context.get("dag"), context.get("task") or _attribute(instance, "task")),
        environment=environment_of(context.get("task") or _attribute(instance, "task")),
    )


def stored_task(
    run: Mapping[str, Any], row: Mapping[str, Any], *, reason: str, base_url: str | None, retries: int | None = None
) -> FailedTask:
    """Return the task that rows of Airflow's database name.

    Parameters
    ----------
    run : Mapping[str, Any]
        The columns of the run.
    row : Mapping[str, Any]
        The columns of the task instance; empty where only the run is known to have failed.
    reason : str
        What is known of the cause.
    base_url : str or None
        The address of Airflow's pages.
    retries : int or None
        How many the DAG file gives the task, where that is known.
    """
    task_id = _text(row.get("task_id"))
    map_index = _whole_number(row.get("map_index"))
    clear_number, allowed = _whole_number(run.get("clear_number")), _whole_number(row.get("max_tries"))
    if clear_number == 0 and allowed is not None and retries is not None:
        clear_number = -max(0, allowed - retries)  # before 3.2, as the callback does on the worker
    instance = SimpleNamespace(**{name: row.get(name) for name in ("start_date", "end_date")})
    task = FailedTask(
        dag_id=_text(run.get("dag_id")),
        run_id=_text(run.get("run_id")),
        run_after=_moment(run.get("run_after")),
        clear_number=clear_number,
        task_id=task_id,
        map_index=-1 if map_index is None else map_index,
        try_number=_whole_number(row.get("try_number")) or None,  # 0 if there was none
        log_url=None,
        recipe_run_id=_recipe_run_id(run.get("conf")),
        reason=_text(reason),
        source=Source.LISTENER,
        max_tries=attempts_allowed(allowed),
        duration_seconds=_duration_seconds(instance, is_running=False),
    )
    if base_url is None or task_id is None:
        return task
    page = f"{base_url.rstrip('/')}/dags/{task.dag_id}/runs/{quote(task.run_id or '')}/tasks/{quote(task_id)}"
    page += f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
    return replace(task, log_url=_text(f"{page}?try_number={task.try_number}" if task.try_number else page))


def failed_tasks(context: Mapping[str, Any], states: Mapping[str, Any]) -> list[FailedTask]:
    """Return every failed task of a run.

    Parameters
    ----------
    context : Mapping[str, Any]
        The context of the DAG's callback.
    states : Mapping[str, Any]
        Airflow's state of each task of the run, by task id (``{task_id}_{map_index}`` where the task is mapped).

    Returns
    -------
    list[FailedTask]
        The task that the context names comes first.
    """
    named = named_task(context)
    known = set(_attribute(context.get("dag"), "task_ids") or ())
    others = []
    for label, state in states.items():
        task_id, map_index = _unmapped(label, known)
        if str(getattr(state, "value", state)) == "failed" and (task_id, map_index) != (named.task_id, named.map_index):
            others.append(
                replace(
                    whole_run(named),
                    task_id=task_id,
                    map_index=map_index,
                    log_url=_log_url(named, task_id, map_index),
                    environment=environment_of((_attribute(context.get("dag"), "task_dict") or {}).get(task_id)),
                )
            )
    state = states.get(named.label)
    if named.task_id is None or str(getattr(state, "value", state)) in NOT_FAILED:
        return others or [whole_run(named)]
    return [named, *others]


def whole_run(named: FailedTask) -> FailedTask:
    """Return the failure of a run whose failed task is unknown."""
    return replace(
        named,
        task_id=None,
        map_index=-1,
        try_number=None,
        log_url=None,
        max_tries=None,
        duration_seconds=None,
        environment=None,
    )


def attempts_allowed(retries: Any) -> int | None:
    """Return how many attempts Airflow allows, from its own number, which leaves the first one out."""
    number = _whole_number(retries)
    return None if number is None else number + 1


def attempts_before_clearing(context: Mapping[str, Any]) -> int:
    """Return how many attempts of a task were made before it was cleared, on a worker; 0 if it never was cleared.

    Airflow adds them to the attempts that it allows.
    """
    allowed = _whole_number(_attribute(context.get("ti"), "max_tries"))
    retries = _whole_number(_attribute(context.get("task"), "retries"))
    return 0 if allowed is None or retries is None else max(0, allowed - retries)


def _unmapped(label: str, known: set[str]) -> tuple[str, int]:
    mapped = re.fullmatch(r"(.+)_([0-9]+)", label)
    if label not in known and mapped and mapped[1] in known:
        return mapped[1], int(mapped[2])
    return label, -1


def _log_url(named: FailedTask, task_id: str, map_index: int) -> str | None:
    """Return the address of another task's log: up to the run it equals that of the named task."""
    base, tasks, _ = (named.log_url or "").partition("/tasks/")
    if not tasks:
        return None
    return f"{base}/tasks/{quote(task_id)}" + (f"/mapped/{map_index}" if map_index >= 0 else "")


def _reason(context: Mapping[str, Any]) -> str | None:
    exception = context.get("exception")
    if isinstance(exception, BaseException):
        text = _exception_text(exception) or (STOPPED if is_stopped(context) else "")
        return _text(f"{type(exception).__name__}: {text}" if text else type(exception).__name__)
    return _text(exception) or _text(context.get("reason")) or NO_EXCEPTION


def _exception_text(exception: Any) -> str:
    """Return the text of an exception; nothing where its own ``__str__`` fails, or where there is none."""
    try:
        return str(exception) if isinstance(exception, BaseException) else ""
    except Exception:  # whatever was raised, the text is unknown
        return ""


def _attribute(thing: Any, name: str) -> Any:
    """Return an attribute, or None: some attributes of Airflow's objects are properties that may raise."""
    try:
        return getattr(thing, name, None)
    except Exception:  # whatever was raised, the fact is unknown
        return None


def _text(value: Any) -> str | None:
    """Return text of bounded length that every JSON reader accepts (no lone surrogates)."""
    if value is None:
        return None
    text = str(value).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MAXIMUM_TEXT else text[: MAXIMUM_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _whole_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _duration_seconds(instance: Any, *, is_running: bool) -> float | None:
    """Return how long an attempt took; in its own process it ends now."""
    start, end = (_attribute(instance, name) for name in ("start_date", "end_date"))
    if is_running and not isinstance(end, datetime):
        end = datetime.now(UTC)
    if (
        not isinstance(start, datetime)
        or not isinstance(end, datetime)
        or (start.tzinfo is None) != (end.tzinfo is None)
    ):
        return None
    return round(max(0.0, (end - start).total_seconds()), 3)


def _moment(value: Any) -> str | None:
    """Return a time as text in UTC: worker and dag-processor may hold it in different time zones."""
    if not isinstance(value, datetime):
        return _text(value)
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _recipe_run_id(*sources: Any) -> int | None:
    for source in sources:
        if isinstance(source, Mapping):
            try:
                return int(source["recipe_run_id"])
            except (KeyError, TypeError, ValueError):
                continue
    return None
