"""The entities of a crate: attempts, tools, parameters, inputs and outputs, each once and named by its id."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_build_utils.records.attempt import RecordedAttempt
    from dkist_build_utils.records.item import Item
    from dkist_build_utils.records.run import RunRecord

WORKFLOW_NAME = "workflow.json"
"""The file of the crate that describes the workflow; tasks are fragments of it."""
_TYPES = {bool: "Boolean", int: "Integer", float: "Float", str: "Text"}
STATUS = {True: "http://schema.org/CompletedActionStatus", False: "http://schema.org/FailedActionStatus"}


class Graph:
    """The entities of a crate, each once."""

    def __init__(self) -> None:
        self._entities: dict[str, dict[str, Any]] = {}

    def add(self, identifier: str, kind: str | list[str], **members: Any) -> dict[str, str]:
        """Add an entity, unless there is one of that id, and return a reference to it; empty members are left out."""
        kept = {name: value for name, value in members.items() if value not in (None, "", [], ())}
        self._entities.setdefault(identifier, {"@id": identifier, "@type": kind, **kept})
        return {"@id": identifier}

    def to_list(self) -> list[dict[str, Any]]:
        """Return the entities in the order in which they were added."""
        return list(self._entities.values())


class Tools:
    """The tools of a crate: a task in an environment."""

    def __init__(self, graph: Graph, record: RunRecord, locks: Mapping[str, str]) -> None:
        self._graph = graph
        self._record = record
        self._locks = locks
        self._known: dict[tuple[str, str], dict[str, str]] = {}

    @property
    def all(self) -> list[dict[str, str]]:
        """References to all of them."""
        return list(self._known.values())

    def lock(self, attempt: RecordedAttempt) -> dict[str, str] | None:
        """Return the lock of an attempt, where the crate has it."""
        file = self._locks.get(attempt.lock_sha256)
        return None if file is None else {"@id": file}

    def tool(self, attempt: RecordedAttempt) -> dict[str, str]:
        """Return the tool that an attempt ran; another environment makes another tool."""
        facts = (attempt.entry_point, attempt.distribution, attempt.python, attempt.lock_sha256, attempt.requirement)
        key = (attempt.task, json.dumps([*facts, dict(attempt.distributions)], sort_keys=True))
        if key not in self._known:
            number = 1 + sum(task == attempt.task for task, _ in self._known)
            suffix = "" if number == 1 else f"/{number}"
            _, _, version = attempt.distribution.rpartition(" ")
            lock = f"lock {attempt.lock_sha256}" if attempt.lock_sha256 else attempt.requirement
            self._known[key] = self._graph.add(
                f"{WORKFLOW_NAME}#task/{quote(attempt.task, safe='')}{suffix}",
                "SoftwareApplication",
                name=attempt.task,
                alternateName=attempt.entry_point,
                softwareVersion=version or attempt.workflow_version,
                description=", ".join(filter(None, (attempt.distribution, f"Python {attempt.python}", lock))),
                input=add_parameters(self._graph, self._record, attempt, is_value=False),
                softwareRequirements=[
                    self._graph.add(
                        f"pkg:pypi/{quote(name, safe='')}@{quote(version, safe='')}",
                        "SoftwareApplication",
                        name=name,
                        softwareVersion=version,
                    )
                    for name, version in sorted(attempt.distributions.items())
                ],
            )
        return self._known[key]


def add_item(graph: Graph, item: Item) -> dict[str, str]:
    """Add an input or output."""
    last = item.last
    kind = {"folder": "Dataset", "file": "File", "missing": "File"}.get(last.kind, "CreativeWork")
    is_absolute = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", item.uri)
    identifier = quote(item.uri, safe="%/:?#@!$&'()*+,;=~") if is_absolute else f"#item/{quote(item.uri, safe='')}"
    if kind == "Dataset" and not identifier.endswith("/"):
        identifier += "/"
    return graph.add(
        identifier,
        kind,
        name=item.name,
        contentSize=None if last.size is None else str(last.size),
        sha256=last.sha256,
        description=item.remark,
    )


def add_attempt(
    graph: Graph,
    record: RunRecord,
    attempt: RecordedAttempt,
    tool: Mapping[str, str],
    items: Mapping[str, Mapping[str, str]],
) -> dict[str, str]:
    """Add an attempt; a rollback changes what there is, and creates nothing."""
    is_run = attempt.action == "run"
    number = record.number_of(attempt)
    words = attempt.task if is_run else f"{attempt.action} of {attempt.task}"
    identifier = f"#{attempt.action}/{quote(attempt.task, safe='')}/{number}"
    tried = "" if attempt.try_number is None else f", try {attempt.try_number} of the engine"
    return graph.add(
        identifier,
        "CreateAction" if is_run else "UpdateAction",
        name=f"{words}, attempt {number}",
        description=f"{attempt.outcome}; on {attempt.host} ({attempt.system}){tried}",
        instrument=dict(tool),
        startTime=attempt.started,
        endTime=attempt.ended,
        location=attempt.host,
        object=[*_items_of(attempt, "used", items), *add_parameters(graph, record, attempt)],
        result=_items_of(attempt, "generated", items),
        resourceUsage=_add_usage(graph, identifier, attempt),
        **status_of(attempt),
    )


def _items_of(attempt: RecordedAttempt, direction: str, items: Mapping[str, Mapping[str, str]]) -> list[dict[str, str]]:
    """Return references to what an attempt used or generated."""
    uris = dict.fromkeys(each.uri for each in attempt.declarations if each.direction == direction)
    return [dict(items[uri]) for uri in uris if uri in items]


def _add_usage(graph: Graph, identifier: str, attempt: RecordedAttempt) -> list[dict[str, str]]:
    """Add the resources that an attempt used."""
    used = (
        ("peak_memory_bytes", "BYTE", attempt.peak_memory_bytes),
        ("cpu_seconds", "SEC", attempt.cpu_seconds),
    )
    return [
        graph.add(
            f"{identifier}/{name}",
            "PropertyValue",
            name=name,
            propertyID=f"urn:x-dkist-task:{name}",
            unitCode=f"https://qudt.org/vocab/unit/{unit}",
            value=str(value),
        )
        for name, unit, value in used
        if value is not None
    ]


def add_parameters(
    graph: Graph, record: RunRecord, attempt: RecordedAttempt | None = None, *, is_value: bool = True
) -> list[dict[str, str]]:
    """Add the parameters of a run or of an attempt, as values or as what the workflow takes."""
    found: dict[tuple[str, str], Any] = {}
    for each in record.attempts if attempt is None else (attempt,):
        values = {"recipe_run_id": each.recipe_run_id, **each.parameters}
        found.update({(name, json.dumps(value)): value for name, value in values.items()})
    references = []
    for (name, text), value in found.items():
        formal = graph.add(
            f"{WORKFLOW_NAME}#parameter/{quote(name, safe='')}",
            "FormalParameter",
            name=name,
            additionalType=_TYPES.get(type(value), "Text"),
        )
        if not is_value:
            references.append(formal)
            continue
        references.append(
            graph.add(
                f"#value/{quote(name, safe='')}/{quote(text, safe='')}",
                "PropertyValue",
                name=name,
                value=text if isinstance(value, bool | float) else str(value),
                exampleOfWork=formal,
            )
        )
    return list({reference["@id"]: reference for reference in references}.values())


def status_of(attempt: RecordedAttempt) -> dict[str, Any]:
    """Return how an attempt ended, as members of an action."""
    if attempt.is_done:
        return {"actionStatus": {"@id": STATUS[True]}}
    return {"actionStatus": {"@id": STATUS[False]}, "error": attempt.reason or attempt.outcome}
