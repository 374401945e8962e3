"""The record of a run as a Workflow Run RO-Crate: a folder with one JSON-LD file that describes it.

The crate follows version 0.6 of the profiles *Process*, *Workflow* and *Provenance Run Crate*
(https://w3id.org/ro/wfrun/provenance/0.6), on RO-Crate 1.3. Each attempt is a ``CreateAction``; those at one task
belong to its ``HowToStep`` by one ``ControlAction``. Data stays where it is and is named by its URI.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dkist_build_utils.errors import RecordError, counted
from dkist_build_utils.records.attempt import NO_END_REPORTED
from dkist_build_utils.records.entities import (
    STATUS,
    WORKFLOW_NAME,
    Graph,
    Tools,
    add_attempt,
    add_item,
    add_parameters,
    status_of,
)
from dkist_build_utils.records.picture import record_svg
from dkist_build_utils.records.prov import prov_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dkist_build_utils.records.attempt import RecordedAttempt
    from dkist_build_utils.records.run import RunRecord

METADATA_NAME = "ro-crate-metadata.json"
PICTURE_NAME = "record.svg"
PROV_NAME = "prov.json"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.6": ("Process Run Crate", "0.6"),
    "https://w3id.org/ro/wfrun/workflow/0.6": ("Workflow Run Crate", "0.6"),
    "https://w3id.org/ro/wfrun/provenance/0.6": ("Provenance Run Crate", "0.6"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.1": ("Workflow RO-Crate", "1.1"),
}
_LANGUAGE = "#language"
_ENGINE = "#engine"
_RUN = "#run"


def crate_metadata(record: RunRecord, *, locks: Mapping[str, str] | None = None, has_prov: bool = False) -> str:
    """Return the JSON-LD text that describes a run; the same for the same record and the same files.

    Parameters
    ----------
    record : RunRecord
        The run.
    locks : mapping, optional
        The files of the crate that are locks, by their SHA-256.
    has_prov : bool, optional
        Whether the crate holds the record as PROV-JSON, too.
    """
    graph = Graph()
    items = {item.uri: add_item(graph, item) for item in record.items}
    parts = [*items.values(), *_add_own_files(graph, record, locks or {}, has_prov=has_prov)]
    tools, steps = Tools(graph, record, locks or {}), []
    controls, every_action = [], []
    for place, task in enumerate(dict.fromkeys(attempt.task for attempt in record.attempts)):
        mine = [attempt for attempt in record.attempts if attempt.task == task]
        actions = [add_attempt(graph, record, attempt, tools.tool(attempt), items) for attempt in mine]
        every_action += actions
        step = graph.add(
            f"{WORKFLOW_NAME}#step/{quote(task, safe='')}",
            "HowToStep",
            name=task,
            position=str(place),
            workExample=tools.tool(mine[-1]),
            buildInstructions=tools.lock(mine[-1]),
        )
        steps.append(step)
        last = record.last_attempts.get(task)
        controls.append(
            graph.add(
                f"#control/{quote(task, safe='')}",
                "ControlAction",
                name=f"the attempts at {task}",
                instrument=step,
                object=actions,
                **status_of(last or mine[-1]),
            )
        )
    _add_run(graph, record, items, controls)
    graph.add(
        WORKFLOW_NAME,
        ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        name=record.workflow,
        version=", ".join(record.versions),
        encodingFormat="application/json",
        programmingLanguage=graph.add(_LANGUAGE, "ComputerLanguage", name="dkist-workflow"),
        input=add_parameters(graph, record, is_value=False),
        step=steps,
        hasPart=tools.all,
    )
    known = max(attempt.last_moment for attempt in record.attempts)
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Record of {record.title}",
        "description": "\n".join([_sentence(record), *record.remarks]),
        "datePublished": known,
        "license": "None is stated: the data centre decides who may use this record.",
        "conformsTo": [
            graph.add(uri, "CreativeWork", name=name, version=version) for uri, (name, version) in PROFILES.items()
        ],
        "hasPart": [{"@id": WORKFLOW_NAME}, *parts],
        "mainEntity": {"@id": WORKFLOW_NAME},
        "mentions": [{"@id": _RUN}, *every_action],
    }
    descriptor = {
        "@id": METADATA_NAME,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.3"},
    }
    document = {
        "@context": ["https://w3id.org/ro/crate/1.3/context", "https://w3id.org/ro/terms/workflow-run/context"],
        "@graph": [descriptor, root, *graph.to_list()],
    }
    return _json(document)


def write_crate(record: RunRecord, output: Path, *, prov_json: bool = False) -> Path:
    """Write the crate of a run as a folder, in place of an earlier crate there, and return the folder.

    The crate has the records of the attempts, a picture of the run, and every lock that is still where it was.

    Parameters
    ----------
    record : RunRecord
        The run.
    output : Path
        The folder to write.
    prov_json : bool, optional
        Whether to write the record as PROV-JSON, too.

    Raises
    ------
    RecordError
        The folder holds something else.
    """
    if output.exists() and not (output / METADATA_NAME).is_file() and any(output.iterdir()):
        raise RecordError(f"{output} is not the folder of a record; name another folder with --output")
    partial = output.with_name(f".{output.name}.{secrets.token_hex(4)}.partial")
    try:
        (partial / "records").mkdir(parents=True)
        for attempt in record.attempts:
            shutil.copyfile(record.folder / attempt.file, partial / "records" / attempt.file)
        locks = {}
        for digest, content in sorted(_found_locks(record.attempts).items()):
            (partial / "locks").mkdir(exist_ok=True)
            locks[digest] = f"locks/{digest[:16]}.txt"
            (partial / locks[digest]).write_bytes(content)
        (partial / WORKFLOW_NAME).write_text(_workflow_text(record), encoding="utf-8")
        (partial / PICTURE_NAME).write_text(record_svg(record), encoding="utf-8")
        if prov_json:
            (partial / PROV_NAME).write_text(_json(prov_document(record)), encoding="utf-8")
        metadata = crate_metadata(record, locks=locks, has_prov=prov_json)
        (partial / METADATA_NAME).write_text(metadata, encoding="utf-8")
        if output.exists():
            shutil.rmtree(output)
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return output


def _add_own_files(
    graph: Graph, record: RunRecord, locks: Mapping[str, str], *, has_prov: bool
) -> list[dict[str, str]]:
    """Add the files of the crate itself."""
    own = [
        graph.add(
            f"records/{quote(os.fsencode(attempt.file))}",
            "File",
            name=f"record of {attempt.task}",
            encodingFormat="application/jsonl",
        )
        for attempt in record.attempts
    ]
    own += [
        graph.add(file, "File", name="lock of an environment", encodingFormat="text/plain", sha256=digest)
        for digest, file in locks.items()
    ]
    own.append(graph.add(PICTURE_NAME, "File", name="picture of the run", encodingFormat="image/svg+xml"))
    if has_prov:
        own.append(graph.add(PROV_NAME, "File", name="the same as PROV-JSON", encodingFormat="application/json"))
    return own


def _add_run(
    graph: Graph,
    record: RunRecord,
    items: Mapping[str, Mapping[str, str]],
    controls: Sequence[Mapping[str, str]],
) -> None:
    """Add the run as a whole: what came from outside, and what no task used."""
    runs = [attempt for attempt in record.attempts if attempt.action == "run"] or list(record.attempts)
    ends = [attempt.ended for attempt in record.last_attempts.values() if attempt.ended]
    is_ended = len(ends) == len(record.last_attempts) and bool(ends)
    failed = [
        f"{each.task}: {each.reason or each.outcome}" for each in record.last_attempts.values() if not each.is_done
    ]
    graph.add(
        _RUN,
        "CreateAction",
        name=f"Run of {record.title}",
        description=_sentence(record),
        instrument={"@id": WORKFLOW_NAME},
        startTime=runs[0].started,
        endTime=max(ends) if is_ended else None,
        object=[
            *(dict(items[item.uri]) for item in record.items if not item.generated_by),
            *add_parameters(graph, record),
        ],
        result=[dict(items[item.uri]) for item in record.items if item.generated_by and not item.used_by],
        actionStatus={"@id": STATUS[record.is_done]},
        error="; ".join(failed),
    )
    if record.engine:
        engine = graph.add(_ENGINE, "SoftwareApplication", name=record.engine)
        graph.add(
            "#organize",
            "OrganizeAction",
            name=f"{record.engine} ran the tasks",
            instrument=engine,
            object=[dict(each) for each in controls],
            result={"@id": _RUN},
        )


def _sentence(record: RunRecord) -> str:
    """Return the run in a sentence."""
    tasks = record.last_attempts
    done = sum(attempt.is_done for attempt in tasks.values())
    silent = sum(attempt.result is None for attempt in record.attempts)
    ended = f", {silent} of them {NO_END_REPORTED}" if silent else ""
    begun = f"{counted(len(tasks), 'task')} in {counted(len(record.attempts), 'attempt')}{ended}"
    return f"{begun}; the last attempt went well at {done} of {len(tasks)}."


def _found_locks(attempts: Iterable[RecordedAttempt]) -> dict[str, bytes]:
    """Return the locks that are still where they were and what they were, by their SHA-256."""
    found = {}
    for path, digest in {(attempt.lock, attempt.lock_sha256) for attempt in attempts}:
        try:
            content = Path(path).read_bytes() if path and digest else b""
        except (OSError, ValueError):
            continue
        if hashlib.sha256(content).hexdigest() == digest:
            found[digest] = content
    return found


def _workflow_text(record: RunRecord) -> str:
    """Return the workflow as far as its record knows it."""
    tasks: dict[str, dict[str, Any]] = {}
    for attempt in record.attempts:
        makers = {
            maker.task: None
            for item in record.items
            if any(user.task == attempt.task for user in item.used_by)
            for maker in item.generated_by
            if maker.task != attempt.task
        }
        tasks[attempt.task] = {
            "name": attempt.task,
            "entry_point": attempt.entry_point,
            "distribution": attempt.distribution,
            "uses_what_these_generated": sorted(makers),
        }
    return _json({"workflow": record.workflow, "versions": list(record.versions), "tasks": list(tasks.values())})


def _json(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"
