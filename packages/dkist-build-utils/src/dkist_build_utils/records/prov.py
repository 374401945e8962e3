"""The record of a run in W3C PROV, as PROV-JSON (https://www.w3.org/submissions/prov-json/)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_build_utils.records.attempt import RecordedAttempt
    from dkist_build_utils.records.item import Item
    from dkist_build_utils.records.run import RunRecord

TERMS = "urn:x-dkist-task:"
"""The namespace of what PROV has no word for."""


def prov_document(record: RunRecord) -> dict[str, Any]:
    """Return a run as the object of a PROV-JSON file.

    Attempts are activities, inputs and outputs are entities, and the software of each attempt is an agent.
    """
    run = f"{TERMS}run:{quote(record.workflow, safe='')}:{record.recipe_run_id}:"
    document: dict[str, Any] = {
        "prefix": {"dkist": TERMS, "run": run},
        "entity": {},
        "activity": {},
        "agent": {},
        "used": {},
        "wasGeneratedBy": {},
        "wasAssociatedWith": {},
    }
    names = {item.uri: f"run:item-{number}" for number, item in enumerate(record.items, start=1)}
    document["entity"] = {names[item.uri]: _entity(item) for item in record.items}
    agents: dict[str, str] = {}
    for number, attempt in enumerate(record.attempts, start=1):
        activity = f"run:attempt-{number}"
        document["activity"][activity] = _activity(record, attempt)
        software = attempt.distribution or attempt.entry_point
        if software not in agents:
            agents[software] = f"run:software-{len(agents) + 1}"
            document["agent"][agents[software]] = {
                "prov:type": {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"},
                "prov:label": software,
            }
        document["wasAssociatedWith"][f"_:association-{number}"] = {
            "prov:activity": activity,
            "prov:agent": agents[software],
        }
        if attempt.action == "run":
            _add_declarations(document, attempt, activity, names, number)
    return {name: members for name, members in document.items() if members}


def _entity(item: Item) -> dict[str, Any]:
    """Return what PROV says of an input or output."""
    known = {
        "prov:label": item.name,
        "dkist:uri": {"$": item.uri, "type": "xsd:anyURI"},
        "dkist:kind": item.last.kind,
        "dkist:size": item.last.size,
        "dkist:sha256": item.last.sha256,
        "dkist:remark": item.remark,
    }
    return {name: value for name, value in known.items() if value not in (None, "")}


def _activity(record: RunRecord, attempt: RecordedAttempt) -> dict[str, Any]:
    """Return what PROV says of an attempt."""
    known = {
        "prov:startTime": attempt.started,
        "prov:endTime": attempt.ended,
        "prov:label": f"{attempt.task}, attempt {record.number_of(attempt)}",
        "dkist:action": attempt.action,
        "dkist:task": attempt.task,
        "dkist:workflow": attempt.workflow,
        "dkist:workflow_version": attempt.workflow_version,
        "dkist:recipe_run_id": str(attempt.recipe_run_id),
        "dkist:try_number": attempt.try_number,
        "dkist:outcome": attempt.outcome,
        "dkist:reason": attempt.reason,
        "dkist:host": attempt.host,
        "dkist:python": attempt.python,
        "dkist:lock_sha256": attempt.lock_sha256,
        "dkist:peak_memory_bytes": attempt.peak_memory_bytes,
        "dkist:cpu_seconds": attempt.cpu_seconds,
    }
    known |= {f"dkist:parameter-{quote(name, safe='')}": value for name, value in attempt.parameters.items()}
    return {name: value for name, value in known.items() if value not in (None, "")}


def _add_declarations(
    document: dict[str, Any], attempt: RecordedAttempt, activity: str, names: Mapping[str, str], number: int
) -> None:
    """Add what an attempt used and generated, each once, with the time of the last declaration."""
    last = {(each.direction, each.uri): each for each in attempt.declarations}
    for place, (direction, uri) in enumerate(last, start=1):
        relation = "used" if direction == "used" else "wasGeneratedBy"
        members = {"prov:activity": activity, "prov:entity": names[uri]}
        time = last[direction, uri].time
        document[relation][f"_:{direction}-{number}-{place}"] = members | ({"prov:time": time} if time else {})
