"""Whether every final failure that Airflow knows has one key in the queue, and no key is there without a failure.

What Airflow knows comes from its database, and the queue's messages are only compared by DAG, run, task, attempt and
time: no code of the distributions takes part in it, and no key is calculated.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

SLACK = timedelta(seconds=2)
"""How much earlier than the end of its task a message may have been made: the database writes the end later."""

Place = tuple[str, str, str | None]
"""DAG id, run id, and the task; None for a run that has failed without one."""

Witnessed = tuple[Place, int | None]
"""Where something failed, and the attempt; None for a run."""


@dataclass(frozen=True)
class Failure:
    """A final failure that Airflow's database shows, or has shown before the run was cleared."""

    place: Place
    """Where."""
    end: datetime
    """When."""
    kind: str
    """The kind of fault that befell the task."""
    attempt: int | None = None
    """Which attempt of the task it was; None if none has begun, or for a run."""


@dataclass
class Balance:
    """Failures and keys, compared."""

    missing: list[Failure] = field(default_factory=list)
    """The failures without a key."""
    forgotten: list[tuple[Place, str]] = field(default_factory=list)
    """The keys of failures that happened, by another's word, and that Airflow's tables do not show."""
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
        ``dag_id``, ``run_id``, ``run_state``, ``run_end``, ``task_id``, ``state``, ``try_number`` and ``end`` of each
        task.
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
            place, attempt = (dag_id, run_id, task), row["try_number"] or None
            found.append(Failure(place, datetime.fromisoformat(end), kind, attempt))
        if not failed and tasks[0]["run_state"] == "failed":
            kind = kinds.get((run_id, tasks[0]["task_id"]), "other")
            found.append(Failure((dag_id, run_id, None), datetime.fromisoformat(tasks[0]["run_end"]), kind))
    return found


def balance(
    failures: Iterable[Failure], messages: Iterable[Mapping[str, Any]], witnessed: Collection[Witnessed] = ()
) -> Balance:
    """Compare failures with the messages of the queue.

    Parameters
    ----------
    failures : Iterable[Failure]
        What Airflow's tables of runs and tasks show in the end, or have shown before a clearing.
    messages : Iterable[Mapping[str, Any]]
        The messages, with their members' names.
    witnessed : Collection[Witnessed], optional
        Attempts that have failed by another's word. Airflow forgets a failure when its scheduler and the task's
        supervisor are killed before they have recorded it, and when a run is marked while the scheduler looks at it.
    """
    expected: dict[Place, set[Failure]] = defaultdict(set)
    for failure in failures:
        expected[failure.place].add(failure)
    keys: dict[Place, dict[str, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for message in messages:
        dag_id = f"{message['workflowName']}_{message['workflowVersion']}"
        keys[dag_id, message["dagRunId"], message["taskName"]][message["idempotencyKey"]].append(message)
    made = Balance(keys=len({key for of_place in keys.values() for key in of_place}))
    for place in expected.keys() | keys.keys():
        of_place = keys[place]
        for failure in sorted(expected[place], key=lambda each: each.end):
            made.failures[failure.kind] += 1
            if (key := _key_of(failure, of_place)) is None:
                made.missing.append(failure)
            else:
                made.reported[failure.kind] += 1
                del of_place[key]
        others = {attempt for where, attempt in witnessed if where == place}
        others -= {failure.attempt for failure in expected[place]}
        for key, of_key in of_place.items():
            is_forgotten = any(message["tryNumber"] in others for message in of_key)
            (made.forgotten if is_forgotten else made.surplus).append((place, key))
    return made


def _key_of(failure: Failure, keys: Mapping[str, Sequence[Mapping[str, Any]]]) -> str | None:
    """Return the key of an attempt; where no message says the attempt, the one that was reported first since then."""
    if failure.attempt is not None:
        for key, messages in keys.items():
            if any(message["tryNumber"] == failure.attempt for message in messages):
                return key
    times = {key: [datetime.fromisoformat(each["time"]) for each in messages] for key, messages in keys.items()}
    later = {key: of_key for key, of_key in times.items() if max(of_key) >= failure.end - SLACK}
    return min(later, key=lambda key: min(later[key]), default=None)
