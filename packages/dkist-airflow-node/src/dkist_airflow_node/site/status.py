"""The state of a site: each fact from the one place that knows it, and which of those places do not answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dkist_airflow_node.errors import AirflowNodeError, MessageFormatError, SiteError
from dkist_airflow_node.messages import ExportedWorkflow, FailureMessage, Ledger, Spool, read_message
from dkist_airflow_node.site.release import Release, releases
from dkist_airflow_node.site.run import (
    Attempt,
    active_runs,
    ended_runs,
    failed_attempts,
    run_of,
    running_attempts,
)
from dkist_airflow_node.site.workflow import exported_workflows
from dkist_airflow_node.worker import Environment, environments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from dkist_airflow_node.site.api import AirflowApi

FAILED_TASKS = 10
"""How many of the tasks that failed last are described."""

DAY_SECONDS = 24 * 3600


@dataclass(frozen=True)
class RunCount:
    """How many runs of a workflow are in a state."""

    workflow: ExportedWorkflow
    """The version of the workflow."""
    state: str
    """Airflow's state."""
    count: int
    """How many."""


@dataclass(frozen=True)
class TaskFact:
    """A task that runs, or has failed."""

    workflow: ExportedWorkflow
    """The version of the workflow."""
    attempt: Attempt
    """Its latest attempt."""
    recipe_run_id: int | None = None
    """The recipe run, if it was asked for and is known."""
    timeout_seconds: float | None = None
    """Its time limit; None where it has none."""


@dataclass(frozen=True)
class AirflowFacts:
    """What Airflow's REST API says."""

    url: str
    """Where it is."""
    version: str
    """Of Airflow."""
    components: Mapping[str, str]
    """State of the scheduler, the dag-processor and the database, by name."""
    workflows: tuple[ExportedWorkflow, ...]
    """Every version of every workflow that Airflow knows."""
    runs: tuple[RunCount, ...]
    """Runs that go on, and those that have ended within the span."""
    running: tuple[TaskFact, ...]
    """Tasks that run, the longest first."""
    failed: tuple[TaskFact, ...]
    """Tasks that have failed within the span, the last first: at most `FAILED_TASKS` of them."""
    failed_count: int
    """How many tasks have failed within the span."""


@dataclass(frozen=True)
class MessageFacts:
    """What the spool of this host holds."""

    folder: Path
    """The spool."""
    waiting: int
    """Messages that wait for the broker."""
    oldest: datetime | None
    """When the oldest one was made."""
    aside: int
    """Files that were set aside."""
    undecided: int
    """Messages of stopped tasks that wait for ``messages reconcile``."""
    confirmed: int
    """Failures that the broker has confirmed within the last 24 hours."""


@dataclass(frozen=True)
class StoreFacts:
    """What the environment store of this host holds."""

    folder: Path
    """The store."""
    environments: tuple[Environment, ...]
    """The largest first."""


@dataclass(frozen=True)
class DagsFacts:
    """What the dags folder holds."""

    folder: Path
    """The dags folder."""
    releases: tuple[Release, ...]
    """By the names of their folders."""


@dataclass(frozen=True)
class SiteStatus:
    """All that is known, and why the rest is not."""

    time: datetime
    """When it was asked for."""
    since: timedelta
    """The span of the runs that have ended and the tasks that have failed."""
    airflow: AirflowFacts | None
    """None where the API does not answer."""
    messages: MessageFacts | None
    """None where there is no spool."""
    store: StoreFacts | None
    """None where there is no store."""
    dags: DagsFacts | None
    """None where there is no dags folder."""
    gaps: Mapping[str, str]
    """Why a source is missing, by its name: airflow, messages, store, dags."""


def site_status(
    *,
    since: timedelta,
    api: Callable[[], AirflowApi],
    spool: Callable[[], Path],
    store: Callable[[], Path],
    dags: Callable[[], Path],
) -> SiteStatus:
    """Return what is known of a site; a source that does not answer hides no other one.

    Parameters
    ----------
    since : timedelta
        How far to look back for runs that have ended and tasks that have failed.
    api, spool, store, dags : Callable
        Returns where a source is, or raises why it cannot be found.

    Returns
    -------
    SiteStatus
        The facts.
    """
    now = datetime.now(UTC)
    gaps: dict[str, str] = {}

    def asked(name: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except (AirflowNodeError, OSError) as error:
            gaps[name] = str(error)
            return None

    return SiteStatus(
        time=now,
        since=since,
        airflow=asked("airflow", lambda: _airflow(api(), now - since)),
        messages=asked("messages", lambda: _messages(spool(), now)),
        store=asked("store", lambda: _store(store())),
        dags=asked("dags", lambda: _dags(dags())),
        gaps=gaps,
    )


def _airflow(api: AirflowApi, since: datetime) -> AirflowFacts:
    workflows = exported_workflows(api)
    counts = Counter(
        (run.dag_id, run.state)
        for run in (*active_runs(api, workflows), *ended_runs(api, workflows, ["success", "failed"], since))
    )

    @cache
    def timeouts(dag_id: str) -> Mapping[str, float]:
        return _timeouts(api, dag_id)

    @cache
    def recipe_run_id(dag_id: str, run_id: str) -> int | None:
        found = run_of(api, dag_id, run_id).conf.get("recipe_run_id")
        return found if isinstance(found, int) else None

    def start(attempt: Attempt) -> datetime:
        return attempt.start or datetime.now(UTC)

    running = tuple(
        TaskFact(
            workflows[one.dag_id],
            one,
            timeout_seconds=timeouts(one.dag_id).get(one.task_id),
            recipe_run_id=recipe_run_id(one.dag_id, one.run_id) if number < FAILED_TASKS else None,
        )
        for number, one in enumerate(sorted(running_attempts(api, workflows), key=start))
    )
    failed = sorted(failed_attempts(api, workflows, since), key=lambda one: one.end or since, reverse=True)
    return AirflowFacts(
        url=api.url,
        version=str(api.ask("/version").get("version")),
        components=_components(api),
        workflows=tuple(workflows.values()),
        runs=tuple(RunCount(workflows[dag_id], state, count) for (dag_id, state), count in sorted(counts.items())),
        running=running,
        failed=tuple(
            TaskFact(workflows[one.dag_id], one, recipe_run_id(one.dag_id, one.run_id)) for one in failed[:FAILED_TASKS]
        ),
        failed_count=len(failed),
    )


def _components(api: AirflowApi) -> dict[str, str]:
    answer = api.ask("/monitor/health")
    states = {
        name.replace("_", "-").replace("metadatabase", "database"): part.get("status")
        for name, part in answer.items()
        if isinstance(part, dict)
    }
    return {name: str(state) for name, state in states.items() if state is not None}  # no triggerer: None


def _timeouts(api: AirflowApi, dag_id: str) -> dict[str, float]:
    """Return the time limit of each task of a workflow that has one, in seconds."""
    found = {}
    rows = api.ask(f"/dags/{quote(dag_id, safe='')}/tasks").get("tasks")
    for row in rows if isinstance(rows, list) else ():
        limit = row.get("execution_timeout")
        if isinstance(limit, dict):
            parts = {name: limit.get(name, 0) for name in ("days", "seconds", "microseconds")}
            try:
                found[str(row.get("task_id"))] = timedelta(**parts).total_seconds()
            except (TypeError, OverflowError) as error:
                raise SiteError(f"Airflow describes a time limit of {dag_id!r} as {limit}: {error}") from error
    return found


def _messages(folder: Path, now: datetime) -> MessageFacts:
    _require(folder, "spool", "no message has waited on this host, or DKIST_MESSAGE_SPOOL names another folder")
    spool = Spool(folder)
    times = list(_message_times(spool))
    confirmed = Ledger(folder).confirmed().values()
    return MessageFacts(
        folder=folder,
        waiting=len(times),
        oldest=min((moment for moment in times if moment is not None), default=None),
        aside=len(spool.paths_aside()),
        undecided=len(spool.undecided.paths()),
        confirmed=sum(seconds >= now.timestamp() - DAY_SECONDS for seconds in confirmed),
    )


def _message_times(spool: Spool) -> Iterator[datetime | None]:
    """Yield when each message that waits was made; None where it does not say so."""
    for path in spool.paths():
        try:
            yield FailureMessage.from_json(read_message(path)).made
        except MessageFormatError:
            continue


def _store(folder: Path) -> StoreFacts:
    _require(
        folder, "environment store", "no task has run on this host, or DKIST_ENVIRONMENT_STORE names another folder"
    )
    found = sorted(environments(folder), key=lambda environment: (-environment.size, environment.name))
    return StoreFacts(folder, tuple(found))


def _dags(folder: Path) -> DagsFacts:
    return DagsFacts(folder, tuple(releases(folder)))


def _require(folder: Path, what: str, why: str) -> None:
    if not folder.is_dir():
        raise SiteError(f"there is no {what} {folder}: {why}")
