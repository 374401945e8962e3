"""Runs and their tasks, as Airflow's REST API reports them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import UUID

from dkist_airflow_node.errors import SiteError, SiteRefusalError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from dkist_airflow_node.site.api import AirflowApi

RUNS_A_QUESTION = 20
"""Runs whose tasks are asked for at once: their ids are in the question."""

NOT_FOUND = 404
"""HTTP: Airflow has no such run."""

RunKey = tuple[str, str]
"""DAG id and run id."""


@dataclass(frozen=True)
class Run:
    """One run of a workflow."""

    dag_id: str
    """Airflow's id of the workflow."""
    run_id: str
    """Airflow's id of the run."""
    state: str
    """Airflow's state."""
    run_after: datetime
    """When it was to begin; part of the key of a failure."""
    start: datetime | None
    """When it began, or began again after it was cleared."""
    end: datetime | None
    """When it ended."""
    queued: datetime | None
    """When it was created or, after that, cleared the last time."""
    conf: Mapping[str, Any] = field(compare=False)
    """Its parameters."""

    @property
    def key(self) -> RunKey:
        """What identifies it."""
        return self.dag_id, self.run_id


@dataclass(frozen=True)
class Attempt:
    """One attempt of a task of a run: the latest one, or an earlier one."""

    dag_id: str
    """Airflow's id of the workflow."""
    run_id: str
    """Airflow's id of the run."""
    task_id: str
    """The task."""
    map_index: int
    """Index of the instance of a mapped task; -1 for any other task."""
    state: str | None
    """Airflow's state."""
    try_number: int
    """From 1; 0 before the first attempt."""
    max_tries: int
    """The last attempt that Airflow would make; it grows each time the task is cleared."""
    scheduled: datetime | None
    """When it was scheduled."""
    start: datetime | None
    """When it began."""
    end: datetime | None
    """When it ended."""
    queue: str | None
    """Where it is to run."""
    hostname: str | None
    """Where it ran."""
    made: datetime | None = None
    """When Airflow made its id: at the creation of the run, a retry or a clearing; None for earlier attempts."""

    @property
    def run_key(self) -> RunKey:
        """What identifies its run."""
        return self.dag_id, self.run_id

    @property
    def has_run(self) -> bool:
        """Whether a worker has started it."""
        return self.try_number > 0 and self.start is not None and bool(self.hostname)

    def log_url(self, base: str) -> str:
        """Return the page of its log, as Airflow itself makes the address."""
        mapped = f"/mapped/{self.map_index}" if self.map_index >= 0 else ""
        attempt = f"?try_number={self.try_number}" if self.try_number > 0 else ""
        page = f"dags/{quote(self.dag_id)}/runs/{quote(self.run_id)}/tasks/{quote(self.task_id)}{mapped}"
        return f"{base}/{page}{attempt}"


def ended_runs(api: AirflowApi, dag_ids: Collection[str], states: Collection[str], since: datetime) -> list[Run]:
    """Return the runs that have ended in one of several states since a time."""
    question = {"dag_ids": sorted(dag_ids), "states": sorted(states), "end_date_gte": since.isoformat()}
    return _runs(api, question) if dag_ids else []


def active_runs(api: AirflowApi, dag_ids: Collection[str]) -> list[Run]:
    """Return the runs that are queued or go on."""
    return _runs(api, {"dag_ids": sorted(dag_ids), "states": ["queued", "running"]}) if dag_ids else []


def run_of(api: AirflowApi, dag_id: str, run_id: str) -> Run:
    """Return one run."""
    return _run(api.ask(run_path(dag_id, run_id)))


def run_if_there(api: AirflowApi, dag_id: str, run_id: str) -> Run | None:
    """Return one run, None if it was deleted."""
    try:
        return run_of(api, dag_id, run_id)
    except SiteRefusalError as refusal:
        if refusal.status == NOT_FOUND:
            return None
        raise


def failed_attempts(api: AirflowApi, dag_ids: Collection[str], since: datetime) -> list[Attempt]:
    """Return the tasks that have failed for good since a time."""
    question = {"dag_ids": sorted(dag_ids), "state": ["failed"], "end_date_gte": since.isoformat(), "order_by": "id"}
    return _attempts(api, question) if dag_ids else []


def running_attempts(api: AirflowApi, dag_ids: Collection[str]) -> list[Attempt]:
    """Return the tasks that run now."""
    return _attempts(api, {"dag_ids": sorted(dag_ids), "state": ["running"], "order_by": "id"}) if dag_ids else []


def attempts_by_run(api: AirflowApi, runs: Iterable[RunKey]) -> dict[RunKey, list[Attempt]]:
    """Return the latest attempt of every task of some runs."""
    by_dag: dict[str, list[str]] = defaultdict(list)
    for dag_id, run_id in runs:
        by_dag[dag_id].append(run_id)
    found: dict[RunKey, dict[tuple[str, int], Attempt]] = defaultdict(dict)
    for dag_id, run_ids in by_dag.items():
        for begin in range(0, len(run_ids), RUNS_A_QUESTION):
            part = run_ids[begin : begin + RUNS_A_QUESTION]
            for attempt in _attempts(api, {"dag_ids": [dag_id], "dag_run_ids": part, "order_by": "id"}):
                found[attempt.run_key][attempt.task_id, attempt.map_index] = attempt
    return {key: list(attempts.values()) for key, attempts in found.items()}


def earlier_attempts(api: AirflowApi, latest: Attempt) -> list[Attempt]:
    """Return the attempts of a task before its latest one, in their order."""
    mapped = f"/{latest.map_index}" if latest.map_index >= 0 else ""
    rows = api.ask(f"{task_path(latest)}{mapped}/tries").get("task_instances")
    found = [_attempt(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return sorted((each for each in found if each.try_number < latest.try_number), key=lambda each: each.try_number)


def run_path(dag_id: str, run_id: str) -> str:
    """Return the address of a run below ``/api/v2``."""
    return f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"


def task_path(attempt: Attempt) -> str:
    """Return the address of a task of a run below ``/api/v2``."""
    return f"{run_path(attempt.dag_id, attempt.run_id)}/taskInstances/{quote(attempt.task_id, safe='')}"


def _runs(api: AirflowApi, question: Mapping[str, Any]) -> list[Run]:
    rows = api.entries("/dags/~/dagRuns/list", "dag_runs", {**question, "order_by": "id"})
    return list({run.key: run for run in map(_run, rows)}.values())


def _attempts(api: AirflowApi, question: Mapping[str, Any]) -> list[Attempt]:
    rows = api.entries("/dags/~/dagRuns/~/taskInstances/list", "task_instances", question)
    return [_attempt(row) for row in rows]


def _run(row: Mapping[str, Any]) -> Run:
    try:
        conf = row.get("conf")
        return Run(
            dag_id=_text(row["dag_id"]),
            run_id=_text(row["dag_run_id"]),
            state=str(row["state"]),
            run_after=datetime.fromisoformat(row["run_after"]).astimezone(UTC),
            start=_time(row.get("start_date")),
            end=_time(row.get("end_date")),
            queued=_time(row.get("queued_at")),
            conf=conf if isinstance(conf, dict) else {},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SiteError(f"Airflow describes a run without {error}; is it Airflow 3?") from error


def _attempt(row: Mapping[str, Any]) -> Attempt:
    try:
        return Attempt(
            dag_id=_text(row["dag_id"]),
            run_id=_text(row["dag_run_id"]),
            task_id=_text(row["task_id"]),
            map_index=int(row["map_index"]),
            state=None if row["state"] is None else str(row["state"]),
            try_number=int(row["try_number"]),
            max_tries=int(row["max_tries"]),
            scheduled=_time(row.get("scheduled_when")),
            start=_time(row.get("start_date")),
            end=_time(row.get("end_date")),
            queue=row.get("queue"),
            hostname=row.get("hostname"),
            made=_moment_of(row.get("id")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SiteError(f"Airflow describes a task of a run without {error}; is it Airflow 3?") from error


def _text(value: Any) -> str:
    """Return an id; a lone surrogate, which no address can hold, is a ValueError."""
    str(value).encode()
    return str(value)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _moment_of(identifier: Any) -> datetime | None:
    """Return the time in an id of version 7 (RFC 9562): its first 48 bits are milliseconds since 1970."""
    try:
        value = UUID(identifier)
        return datetime.fromtimestamp((value.int >> 80) / 1000, UTC) if value.version == 7 else None
    except (ValueError, TypeError, AttributeError, OverflowError, OSError):
        return None
