"""Whether every final failure that Airflow knows has one key in the queue, and no key is there without a failure.

What Airflow knows comes from its database, and the queue's messages are only compared by DAG, run, task and time: no
code of the distributions takes part in it, and no key is calculated.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SLACK = timedelta(seconds=2)
"""How much earlier than the end of its task a message may have been made: the database writes the end later."""

Place = tuple[str, str, str | None]
"""DAG id, run id, and the task; None for a run that has failed without one."""


@dataclass(frozen=True)
class Failure:
    """A final failure that Airflow's database shows, or has shown before the run was cleared."""

    place: Place
    """Where."""
    end: datetime
    """When."""
    kind: str
    """The kind of fault that befell the task."""


@dataclass
class Balance:
    """Failures and keys, compared."""

    missing: list[Failure] = field(default_factory=list)
    """The failures without a key."""
    forgotten: list[tuple[Place, str]] = field(default_factory=list)
    """The keys of failures that happened, by the task's own word, and that Airflow never recorded."""
    surplus: list[tuple[Place, str]] = field(default_factory=list)
    """The keys of no failure at all."""
    reported: Counter[str] = field(default_factory=Counter)
    """How many failures have a key, by kind."""
    failures: Counter[str] = field(default_factory=Counter)
    """How many failures there are, by kind."""
    keys: int = 0
    """How many distinct keys the queue has."""

    @property
    def holds(self) -> bool:
        """Whether each failure has a key of its own, and each key a failure."""
        return not self.missing and not self.surplus


def failures_in(rows: Iterable[Mapping[str, Any]], kinds: Mapping[tuple[str, str], str]) -> list[Failure]:
    """Return the failures that rows of runs, joined to their tasks, show.

    Parameters
    ----------
    rows : Iterable[Mapping[str, Any]]
        ``dag_id``, ``run_id``, ``run_state``, ``run_end``, ``task_id``, ``state`` and ``end`` of each task.
    kinds : Mapping[tuple[str, str], str]
        The kind of fault by run id and task.
    """
    by_run: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_run[row["dag_id"], row["run_id"]].append(row)
    found = []
    for (dag_id, run_id), tasks in by_run.items():
        failed = [row for row in tasks if row["state"] == "failed"]
        for row in failed:
            task, end = row["task_id"], row["end"] or row["run_end"]
            kind = kinds.get((run_id, task), "other")
            found.append(Failure((dag_id, run_id, task), datetime.fromisoformat(end), kind))
        if not failed and tasks[0]["run_state"] == "failed":
            kind = kinds.get((run_id, tasks[0]["task_id"]), "other")
            found.append(Failure((dag_id, run_id, None), datetime.fromisoformat(tasks[0]["run_end"]), kind))
    return found


def balance(
    failures: Iterable[Failure], messages: Iterable[Mapping[str, Any]], raised: Mapping[Place, int] | None = None
) -> Balance:
    """Compare failures with the messages of the queue.

    Parameters
    ----------
    failures : Iterable[Failure]
        What Airflow knows.
    messages : Iterable[Mapping[str, Any]]
        The messages, with their members' names.
    raised : Mapping[Place, int], optional
        How often the code of a task without retries has raised, by its own word. Airflow forgets such a failure when
        its scheduler and the task's supervisor are killed before they could record it.
    """
    expected: dict[Place, set[datetime]] = defaultdict(set)
    made = Balance()
    by_end: dict[tuple[Place, datetime], Failure] = {}
    for failure in failures:
        expected[failure.place].add(failure.end)
        by_end[failure.place, failure.end] = failure
    made.failures.update(failure.kind for failure in by_end.values())
    keys: dict[Place, dict[str, list[datetime]]] = defaultdict(lambda: defaultdict(list))
    for message in messages:
        dag_id = f"{message['workflowName']}_{message['workflowVersion']}"
        place = dag_id, message["dagRunId"], message["taskName"]
        keys[place][message["idempotencyKey"]].append(datetime.fromisoformat(message["time"]))
    made.keys = len({key for of_place in keys.values() for key in of_place})
    for place in expected.keys() | keys.keys():
        ends, of_place = sorted(expected[place]), keys[place]
        for end in ends:
            if (key := _key_of(end, of_place)) is None:
                made.missing.append(by_end[place, end])
            else:
                made.reported[by_end[place, end].kind] += 1
                del of_place[key]
        left = sorted(of_place, key=lambda key: min(of_place[key]))
        unrecorded = max(0, (raised or {}).get(place, 0) - len(ends))
        made.forgotten += [(place, key) for key in left[:unrecorded]]
        made.surplus += [(place, key) for key in left[unrecorded:]]
    return made


def _key_of(end: datetime, keys: Mapping[str, Sequence[datetime]]) -> str | None:
    """Return the key that was reported first, of those reported since a failure happened; None if there is none."""
    later = {key: times for key, times in keys.items() if max(times) >= end - SLACK}
    return min(later, key=lambda key: min(later[key]), default=None)
