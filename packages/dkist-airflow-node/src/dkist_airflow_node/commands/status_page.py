"""The state of a site as one page of text, and as JSON."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from dkist_airflow_node.commands.duration import duration_text
from dkist_airflow_node.commands.size import size_text
from dkist_airflow_node.commands.text_table import cell, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from dkist_airflow_node.messages import ExportedWorkflow
    from dkist_airflow_node.site import AirflowFacts, SiteStatus, TaskFact

ROWS = 10
"""Most rows of a list on the page: it is one page. Machines get all of them."""

STATES = ("queued", "running", "success", "failed")
NARROWEST = 6
"""Characters that a column keeps, however narrow the terminal is."""

SOURCES = {"airflow": "Airflow", "messages": "Messages", "store": "Environments", "dags": "Releases"}


def status_page(status: SiteStatus, width: int) -> str:
    """Return the page.

    Parameters
    ----------
    status : SiteStatus
        The facts.
    width : int
        Columns of the terminal.

    Returns
    -------
    str
        Lines without a final newline; none is longer than the terminal is wide, if that is at least 60.
    """
    span = duration_text(status.since.total_seconds())
    sections = [
        [f"{_minute(status.time)} UTC; ended runs and failed tasks are those of the last {span}"],
        *_airflow(status, width),
        _messages(status),
        _store(status, width),
        _dags(status, width),
    ]
    return "\n\n".join("\n".join(part for line in lines for part in _wrapped(line, width)) for lines in sections)


def status_object(status: SiteStatus) -> dict[str, Any]:
    """Return the facts as JSON values; a source that is missing is null, and `missing` says why."""
    airflow, messages, store, dags = status.airflow, status.messages, status.store, status.dags
    return {
        "time": status.time.isoformat(timespec="seconds"),
        "since_seconds": status.since.total_seconds(),
        "airflow": airflow
        and {
            "url": airflow.url,
            "version": airflow.version,
            "components": dict(airflow.components),
            "workflows": [_workflow_object(workflow) for workflow in airflow.workflows],
            "runs": [
                {**_workflow_object(one.workflow), "state": one.state, "count": one.count} for one in airflow.runs
            ],
            "running": [_task_object(task) for task in airflow.running],
            "failed": [_task_object(task) for task in airflow.failed],
            "failed_count": airflow.failed_count,
        },
        "messages": messages and {**vars(messages), "folder": str(messages.folder), "oldest": _iso(messages.oldest)},
        "store": store
        and {
            "folder": str(store.folder),
            "environments": [
                {
                    "name": one.name,
                    "size": one.size,
                    "is_complete": one.is_complete,
                    "is_in_use": bool(one.processes),
                    "last_use": one.last_use.isoformat(),
                    "origin": one.origin,
                }
                for one in store.environments
            ],
        },
        "dags": dags and {"folder": str(dags.folder), "releases": [vars(release) for release in dags.releases]},
        "missing": dict(status.gaps),
    }


def _airflow(status: SiteStatus, width: int) -> Iterator[list[str]]:
    facts = status.airflow
    if facts is None:
        yield [_gap(status, "airflow")]
        return
    health = ", ".join(f"{name} {state}" for name, state in sorted(facts.components.items()))
    yield [f"Airflow {facts.version} at {facts.url}: {health}"]
    yield _runs(facts, width)
    now = status.time
    rows = [
        (
            f"{task.workflow.name} {task.workflow.version}",
            task.attempt.task_id,
            cell(task.recipe_run_id),
            task.attempt.hostname or "-",
            *_limit(task, now),
        )
        for task in facts.running[:ROWS]
    ]
    headings = ("WORKFLOW", "TASK", "RECIPE RUN", "HOST", "RUNS FOR", "LIMIT", "USED")
    yield _list(f"Running tasks: {len(facts.running)}", headings, rows, width, of=len(facts.running))
    rows = [
        (
            "-" if task.attempt.end is None else _minute(task.attempt.end),
            f"{task.workflow.name} {task.workflow.version}",
            task.attempt.task_id,
            cell(task.recipe_run_id),
            str(task.attempt.try_number),
            task.attempt.hostname or "-",
            task.attempt.run_id,
        )
        for task in facts.failed
    ]
    headings = ("ENDED (UTC)", "WORKFLOW", "TASK", "RECIPE RUN", "TRY", "HOST", "RUN")
    yield _list(f"Failed tasks: {facts.failed_count}", headings, rows, width, of=facts.failed_count)


def _runs(facts: AirflowFacts, width: int) -> list[str]:
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for one in facts.runs:
        counts[one.workflow.name, one.workflow.version][one.state] = one.count
    rows = [
        (f"{name} {version}", *(str(states.get(state, "-")) for state in STATES))
        for (name, version), states in sorted(counts.items())
    ]
    title = f"Runs of {len(counts)} of the {len(facts.workflows)} versions of workflows that Airflow knows"
    return _list(title, ("WORKFLOW", *(state.upper() for state in STATES)), rows, width, of=len(rows))


def _limit(task: TaskFact, now: datetime) -> tuple[str, str, str]:
    if task.attempt.start is None:
        return "-", "-", "-"
    seconds = (now - task.attempt.start).total_seconds()
    if not task.timeout_seconds:
        return duration_text(seconds), "none", "-"
    return duration_text(seconds), duration_text(task.timeout_seconds), f"{seconds / task.timeout_seconds:.0%}"


def _messages(status: SiteStatus) -> list[str]:
    facts = status.messages
    if facts is None:
        return [_gap(status, "messages")]
    age = "" if facts.oldest is None else duration_text((status.time - facts.oldest).total_seconds())
    undecided = f"{facts.undecided} undecided; " if facts.undecided else ""
    return [
        f"Messages: {facts.waiting} waiting{f', the oldest for {age}' if age else ''}; {facts.aside} set aside; "
        f"{undecided}{facts.confirmed} confirmed in 24h",
        f"  in {facts.folder}",
    ]


def _store(status: SiteStatus, width: int) -> list[str]:
    facts = status.store
    if facts is None:
        return [_gap(status, "store")]
    size = size_text(sum(one.size for one in facts.environments))
    rows = [
        (
            one.name,
            size_text(one.size),
            _minute(one.last_use),
            _environment_state(is_complete=one.is_complete, is_used=bool(one.processes)),
        )
        for one in facts.environments[:ROWS]
    ]
    title = f"Environments: {len(facts.environments)}, {size}"
    lines = _list(title, ("NAME", "SIZE", "LAST USE (UTC)", "STATE"), rows, width, of=len(facts.environments))
    return [lines[0], f"  in {facts.folder}", *lines[1:]]


def _environment_state(*, is_complete: bool, is_used: bool) -> str:
    if not is_complete:
        return "being built" if is_used else "incomplete"
    return "in use" if is_used else "unused"


def _dags(status: SiteStatus, width: int) -> list[str]:
    facts = status.dags
    if facts is None:
        return [_gap(status, "dags")]
    known = None if status.airflow is None else {workflow.dag_id for workflow in status.airflow.workflows}
    rows = []
    for release in facts.releases:
        unknown = 0 if known is None else len(set(release.dag_ids) - known)
        note = release.problem or (f"{unknown} not known to Airflow" if unknown else "")
        rows.append((release.distribution or release.folder, release.version or "-", str(len(release.dag_ids)), note))
    headings = ("DISTRIBUTION", "VERSION", "WORKFLOWS", "NOTE")
    lines = _list(f"Releases: {len(rows)}", headings, rows[:ROWS], width, of=len(rows))
    return [lines[0], f"  in {facts.folder}", *lines[1:]]


def _list(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, of: int) -> list[str]:
    """Return a title and a table below it, which fits the terminal and says how many rows it leaves out."""
    if not rows:
        return [title]
    shown = rows[:ROWS]
    rest = [f"  and {of - len(shown)} more; see --json"] if of > len(shown) else []
    return [title, *(f"  {line}" for line in table(*_fitted(headings, shown, width - 2)).splitlines()), *rest]


def _fitted(
    headings: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Return headings and cells, the widest columns cut until the lines fit."""
    clean = [[cell(text, 200) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *clean, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > width and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return [cell(text, size) for text, size in zip(headings, widths, strict=True)], [
        [cell(text, size) for text, size in zip(row, widths, strict=True)] for row in clean
    ]


def _wrapped(line: str, width: int) -> list[str]:
    """Return a line of the page as lines of the terminal."""
    text = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in line)
    begin = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(text, max(width, 20), subsequent_indent=f"{begin}    ") if len(text) > width else [text]


def _gap(status: SiteStatus, source: str) -> str:
    return f"{SOURCES[source]}: MISSING: {status.gaps.get(source, 'unknown')}"


def _workflow_object(workflow: ExportedWorkflow) -> dict[str, str]:
    return {"dag_id": workflow.dag_id, **workflow._asdict()}


def _task_object(task: TaskFact) -> dict[str, Any]:
    attempt = task.attempt
    return {
        **_workflow_object(task.workflow),
        "task": attempt.task_id,
        "run_id": attempt.run_id,
        "recipe_run_id": task.recipe_run_id,
        "try_number": attempt.try_number,
        "host": attempt.hostname,
        "start": _iso(attempt.start),
        "end": _iso(attempt.end),
        "timeout_seconds": task.timeout_seconds,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
