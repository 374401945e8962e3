"""A run as a Workflow Run RO-Crate, as the public tools read it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dkist_build_utils import RecordError, read_run, write_crate
from tests.dkist_build_utils.records.conftest import END, Records, declared

ROCRATE = """
import json, sys
from rocrate.rocrate import ROCrate
crate = ROCrate(sys.argv[1])
dangling = [
    value["@id"]
    for entity in crate.get_entities()
    for values in entity.properties().values()
    for value in (values if isinstance(values, list) else [values])
    if isinstance(value, dict) and "@id" in value and crate.dereference(value["@id"]) is None
]
print(json.dumps({"main": crate.mainEntity.id, "name": crate.name, "dangling": sorted(set(dangling)),
                  "files": sorted(entity.id for entity in crate.data_entities)}))
"""
OUTSIDE = {
    "http://schema.org/CompletedActionStatus",
    "http://schema.org/FailedActionStatus",
    "https://w3id.org/ro/crate/1.3",
}
"""What a crate refers to without describing it."""


def as_rocrate_reads(crate: Path) -> dict[str, Any]:
    """Return what the package ``rocrate`` finds in a crate."""
    command = [sys.executable, "-W", "error", "-c", ROCRATE, str(crate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def report_on(crate: Path) -> str:
    """Return what ``runcrate report`` says."""
    program = str(Path(sys.executable).with_name("runcrate"))
    done = subprocess.run([program, "report", str(crate)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def entities(crate: Path) -> dict[str, dict[str, Any]]:
    """Return the entities of a crate by their ids, and check that each has one of its own."""
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph)
    return found


def test_tools_read_the_crate(two_tasks: Records, tmp_path: Path) -> None:
    """``rocrate`` finds every entity, and ``runcrate report`` the run and each attempt with inputs and outputs."""
    crate = write_crate(read_run(two_tasks.folder), tmp_path / "crate", prov_json=True)
    found = as_rocrate_reads(crate)
    assert found["main"] == "workflow.json"
    assert found["name"] == "Record of vbi_l0_to_l1 1.2.0, recipe run 7"
    assert set(found["dangling"]) <= OUTSIDE
    frame, image = ((tmp_path / name).as_uri() for name in ("frame.fits", "image.fits"))
    assert {frame, image, "prov.json", "record.svg", "records/Parse-1.jsonl"} <= set(found["files"])
    run, parse, calibrate = report_on(crate).strip().split("\n\n")
    assert run.startswith("action: #run\n  instrument: workflow.json")
    assert f"  outputs:\n    {image}" in run
    assert frame not in run
    assert "step: workflow.json#step/Parse" in parse
    assert "started: 2026-11-24T10:01:00.000Z\n  ended: 2026-11-24T10:01:09.000Z" in parse
    assert "0.5 <- workflow.json#parameter/threshold" in calibrate
    assert calibrate.index(frame) < calibrate.index("outputs:") < calibrate.index(image)


def test_crate_says_with_what_and_at_what_cost_each_attempt_ran(two_tasks: Records, tmp_path: Path) -> None:
    """Profiles, distributions, host, resources and status are where the profile wants them."""
    found = entities(write_crate(read_run(two_tasks.folder), tmp_path / "crate"))
    assert {"@id": "https://w3id.org/ro/wfrun/provenance/0.6"} in found["./"]["conformsTo"]
    assert found["./"]["datePublished"] == "2026-11-24T10:02:09.000Z"
    action = found["#run/Calibrate/1"]
    assert action["actionStatus"] == {"@id": "http://schema.org/CompletedActionStatus"}
    assert (action["location"], "error" in action) == ("worker-3", False)
    memory = found["#run/Calibrate/1/peak_memory_bytes"]
    assert (memory["value"], memory["unitCode"]) == ("50000000", "https://qudt.org/vocab/unit/BYTE")
    tool = found[action["instrument"]["@id"]]
    assert tool["softwareVersion"] == "1.2.0"
    assert {"@id": "pkg:pypi/numpy@2.1.0"} in tool["softwareRequirements"]
    frame = found[(tmp_path / "frame.fits").as_uri()]
    assert (frame["@type"], frame["name"], frame["contentSize"]) == ("File", "frame.fits", "3")


def test_failures_kills_and_retries_are_in_the_crate(records: Records, tmp_path: Path) -> None:
    """One step has all attempts at its task; the run failed; nothing is made up about a killed attempt."""
    records.add("Parse", end=END | {"result": "failure", "reason": "ValueError: no image"})
    records.add("Parse", try_number=2, distributions={"numpy": "2.2.0"})
    records.add("Calibrate", end={})
    records.add("Calibrate", action="rollback")
    crate = write_crate(read_run(records.folder), tmp_path / "crate")
    found = entities(crate)
    first, second = found["#run/Parse/1"], found["#run/Parse/2"]
    assert first["error"] == "ValueError: no image"
    assert first["instrument"] != second["instrument"], "another environment is another tool"
    assert found["#control/Parse"]["object"] == [{"@id": "#run/Parse/1"}, {"@id": "#run/Parse/2"}]
    assert "error" not in found["#control/Parse"]
    killed = found["#run/Calibrate/1"]
    assert (killed["error"], "endTime" in killed) == ("never reported an end", False)
    assert found["#rollback/Calibrate/1"]["@type"] == "UpdateAction"
    assert found["#run"]["error"] == "Calibrate: never reported an end"
    assert "endTime" not in found["#run"]
    assert "Calibrate try 1 on worker-3 never reported an end" in found["./"]["description"]
    assert as_rocrate_reads(crate)["main"] == "workflow.json"
    assert report_on(crate).count("step: workflow.json#step/Parse") == 2


def test_lock_is_in_the_crate_where_it_can_be_proven(records: Records, tmp_path: Path) -> None:
    """A lock that is still what it was is copied, and is how the step's environment is made; another one is not."""
    lock = tmp_path / "requirements.txt"
    lock.write_text("numpy==2.1.0 --hash=sha256:ab\n")
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    records.add("Parse", lock=str(lock), lock_sha256=digest)
    records.add("Calibrate", lock=str(lock), lock_sha256="0" * 64)
    crate = write_crate(read_run(records.folder), tmp_path / "crate")
    (copy,) = (crate / "locks").iterdir()
    assert copy.read_bytes() == lock.read_bytes()
    found = entities(crate)
    assert found["workflow.json#step/Parse"]["buildInstructions"] == {"@id": f"locks/{copy.name}"}
    assert "buildInstructions" not in found["workflow.json#step/Calibrate"]
    assert found[f"locks/{copy.name}"]["sha256"] == digest
    assert f"lock {digest}" in found["workflow.json#task/Parse"]["description"]


def test_hostile_names_make_a_crate_that_tools_read(records: Records, tmp_path: Path) -> None:
    """Names with every kind of letter stay in their entities, and ids are coded."""
    nasty = 'a/../#?%20 "<>\\ \u202e\u0000é'
    uris = [
        "file:///data/a%20b%23.fits",
        "s3://bucket/%3Cx%3E?y#z",
        "urn:x:y",
        "http://[broken",
        "relative path",
        "#run",
        "./",
    ]
    lines = [declared("generated", uri) for uri in uris]
    records.add("Parse", lines, parameters={nasty: nasty, "flag": True, "number": 2}, distributions={nasty: nasty})
    records.add(nasty, [declared("used", uri) for uri in uris], end=END | {"result": "failure", "reason": nasty})
    crate = write_crate(read_run(records.folder), tmp_path / "crate", prov_json=True)
    assert set(as_rocrate_reads(crate)["dangling"]) <= OUTSIDE
    assert "True" not in report_on(crate)
    found = entities(crate)
    assert found["#value/flag/true"]["value"] == "true"
    assert (found["#run"]["@type"], found["./"]["@type"]) == ("CreateAction", "Dataset")


def test_record_file_of_any_name_is_copied(two_tasks: Records, tmp_path: Path) -> None:
    """Somebody renamed a record: its bytes are in the crate all the same."""
    odd = two_tasks.folder / os.fsdecode(b"caf\xe9 #1\n.jsonl")
    (two_tasks.folder / "Parse-1.jsonl").rename(odd)
    crate = write_crate(read_run(two_tasks.folder), tmp_path / "crate")
    assert (crate / "records" / odd.name).read_bytes() == odd.read_bytes()
    assert "records/caf%E9%20%231%0A.jsonl" in entities(crate)


def test_crate_is_the_same_bytes_each_time(two_tasks: Records, tmp_path: Path) -> None:
    """Neither the clock nor the place where it is written is in it; an earlier record is replaced as a whole."""

    def content(crate: Path) -> dict[str, bytes]:
        return {str(path.relative_to(crate)): path.read_bytes() for path in crate.rglob("*") if path.is_file()}

    run = read_run(two_tasks.folder)
    one = content(write_crate(run, tmp_path / "one", prov_json=True))
    (tmp_path / "one" / "records" / "old.jsonl").touch()
    assert content(write_crate(run, tmp_path / "deep" / "two", prov_json=True)) == one
    assert content(write_crate(run, tmp_path / "one", prov_json=True)) == one
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_folder_with_something_else_is_not_replaced(two_tasks: Records, tmp_path: Path) -> None:
    """A wrong --output loses nobody's data; an empty folder is used."""
    run = read_run(two_tasks.folder)
    with pytest.raises(RecordError, match="is not the folder of a record; name another folder with --output"):
        write_crate(run, tmp_path)
    assert (tmp_path / "frame.fits").exists()
    (tmp_path / "empty").mkdir()
    assert (write_crate(run, tmp_path / "empty") / "workflow.json").exists()


def test_workflow_file_says_what_follows_from_what(two_tasks: Records, tmp_path: Path) -> None:
    """The workflow is described as far as the record knows it."""
    crate = write_crate(read_run(two_tasks.folder), tmp_path / "crate")
    tasks = json.loads((crate / "workflow.json").read_text())["tasks"]
    assert [(task["name"], task["uses_what_these_generated"]) for task in tasks] == [
        ("Parse", []),
        ("Calibrate", ["Parse"]),
    ]
