"""The state of a site in Prometheus's text format (exposition format 0.0.4)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dkist_airflow_node.site import SiteStatus

SOURCES = ("airflow", "messages", "store", "dags")

Sample = tuple["Mapping[str, str]", float]
"""Labels and value."""


def prometheus_text(status: SiteStatus) -> str:
    """Return the state of a site as metrics, each family with its help and its type.

    Parameters
    ----------
    status : SiteStatus
        The facts; those of a source that is missing have no metrics, but for that it is missing.

    Returns
    -------
    str
        Lines, the last one with its end.
    """
    families = [
        _family(
            "source_up",
            "Whether a source of these metrics answered.",
            [({"source": name}, float(name not in status.gaps)) for name in SOURCES],
        ),
        _family("collected_timestamp_seconds", "When these metrics were collected.", [({}, status.time.timestamp())]),
    ]
    families += _of_airflow(status) + _of_messages(status) + _of_store(status) + _of_dags(status)
    return "".join(families)


def _of_airflow(status: SiteStatus) -> list[str]:
    facts = status.airflow
    if facts is None:
        return []
    oldest: dict[tuple[str, str], tuple[float, float | None]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    shares: dict[tuple[str, str], float] = {}
    for task in facts.running:
        key = task.workflow.name, task.workflow.version
        seconds = 0.0 if task.attempt.start is None else max(0.0, (status.time - task.attempt.start).total_seconds())
        counts[key] += 1
        oldest.setdefault(key, (seconds, task.timeout_seconds))
        if task.timeout_seconds:
            shares[key] = max(shares.get(key, 0.0), seconds / task.timeout_seconds)
    return [
        _family(
            "component_healthy",
            "Whether Airflow calls a component of itself healthy.",
            [({"component": name}, float(state == "healthy")) for name, state in facts.components.items()],
        ),
        _family(
            "runs",
            "Runs that are queued or go on, and those that have ended within the span.",
            [
                ({**_labels(count.workflow.name, count.workflow.version), "state": count.state}, count.count)
                for count in facts.runs
            ],
        ),
        _family("running_tasks", "Tasks that run now.", [(_labels(*key), count) for key, count in counts.items()]),
        _family(
            "oldest_running_task_seconds",
            "For how long the oldest running task has run.",
            [(_labels(*key), value) for key, (value, _) in oldest.items()],
        ),
        _family(
            "running_task_timeout_ratio",
            "The largest part of its time limit that a running task has used.",
            [(_labels(*key), share) for key, share in shares.items()],
        ),
        _family("failed_tasks", "Tasks that have failed for good within the span.", [({}, facts.failed_count)]),
    ]


def _of_messages(status: SiteStatus) -> list[str]:
    facts = status.messages
    if facts is None:
        return []
    age = 0.0 if facts.oldest is None else max(0.0, (status.time - facts.oldest).total_seconds())
    return [
        _family("messages_waiting", "Failure messages that wait for the broker on this host.", [({}, facts.waiting)]),
        _family("oldest_message_seconds", "For how long the oldest message has waited; 0 if none waits.", [({}, age)]),
        _family("messages_aside", "Files that were set aside in the spool.", [({}, facts.aside)]),
        _family("messages_undecided", "Messages that wait for a reconciliation.", [({}, facts.undecided)]),
        _family(
            "messages_confirmed_last_day",
            "Failures that the broker has confirmed in 24 hours.",
            [({}, facts.confirmed)],
        ),
    ]


def _of_store(status: SiteStatus) -> list[str]:
    if status.store is None:
        return []
    found = status.store.environments
    return [
        _family(
            "environments",
            "Environments in the store of this host.",
            [
                ({"state": state}, sum(one.is_complete == (state == "complete") for one in found))
                for state in ("complete", "incomplete")
            ],
        ),
        _family(
            "environment_bytes",
            "What an environment takes on the disk.",
            [({"environment": one.name}, one.size) for one in found],
        ),
    ]


def _of_dags(status: SiteStatus) -> list[str]:
    if status.dags is None:
        return []
    samples = [
        ({"folder": one.folder, "distribution": one.distribution or "", "version": one.version or ""}, len(one.dag_ids))
        for one in status.dags.releases
    ]
    return [_family("release_workflows", "Workflows of a release in the dags folder.", samples)]


def _labels(name: str, version: str) -> dict[str, str]:
    return {"workflow": name, "version": version}


def _family(name: str, explanation: str, samples: Iterable[Sample]) -> str:
    """Return one metric with all its samples."""
    full = f"dkist_{name}"
    lines = [f"# HELP {full} {explanation}", f"# TYPE {full} gauge"]
    for labels, value in samples:
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{full}{{{pairs}}} {_number(value)}" if pairs else f"{full} {_number(value)}")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escaped(text: str) -> str:
    """Return the text of a label: the format knows these three escapes, and is UTF-8."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    return clean.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
