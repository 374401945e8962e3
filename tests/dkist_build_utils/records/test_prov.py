"""A run as PROV-JSON, as the package ``prov`` reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from dkist_build_utils import prov_document, read_run
from tests.dkist_build_utils.records.conftest import END, Records, declared

PROV = """
import json, sys
from prov.model import ProvDocument
document = ProvDocument.deserialize(sys.argv[1], format="json")
assert ProvDocument.deserialize(content=document.serialize(format="json"), format="json") == document
kinds = {}
for record in document.get_records():
    kinds[record.get_type().localpart] = kinds.get(record.get_type().localpart, 0) + 1
print(json.dumps(kinds))
"""


def kinds_in(records: Records) -> dict[str, int]:
    """Return how many statements of each kind ``prov`` finds."""
    file = records.folder.parent / "prov.json"
    file.write_text(json.dumps(prov_document(read_run(records.folder))))
    command = [sys.executable, "-c", PROV, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_prov_reads_the_document(two_tasks: Records) -> None:
    """Three entities, two activities and one agent; each use and each generation is a statement."""
    assert kinds_in(two_tasks) == {
        "Entity": 3,
        "Activity": 2,
        "Agent": 1,
        "Association": 2,
        "Usage": 2,
        "Generation": 2,
    }


def test_prov_reads_killed_attempts_and_hostile_names(records: Records) -> None:
    """An attempt without an end has none; a rollback uses nothing; any name and parameter is legal."""
    nasty = 'a:b "\\<>#\u202e'
    lines = [declared("used", nasty), declared("used", nasty), declared("generated", f"s3://{nasty}", time="")]
    records.add(nasty, lines, end={}, parameters={nasty: nasty, "flag": True}, workflow=nasty)
    records.add(nasty, lines, action="rollback", workflow=nasty)
    assert kinds_in(records) == {
        "Entity": 2,
        "Activity": 2,
        "Agent": 1,
        "Association": 2,
        "Usage": 1,
        "Generation": 1,
    }


def test_document_has_what_is_known_of_an_attempt(records: Records) -> None:
    """Outcome, host, lock and times of an attempt are attributes of its activity."""
    records.add(end=END | {"result": "failure", "reason": "no image"}, lock_sha256="ab")
    activity = prov_document(read_run(records.folder))["activity"]["run:attempt-1"]
    expected = {
        "prov:startTime": "2026-11-24T10:01:00.000Z",
        "prov:endTime": "2026-11-24T10:00:09.000Z",
        "dkist:outcome": "failure",
        "dkist:reason": "no image",
        "dkist:host": "worker-3",
        "dkist:lock_sha256": "ab",
        "dkist:parameter-threshold": 0.5,
    }
    assert activity | expected == activity


def test_document_is_a_file_that_json_has(two_tasks: Records, tmp_path: Path) -> None:
    """Every value is plain."""
    document = prov_document(read_run(two_tasks.folder))
    (tmp_path / "prov.json").write_text(json.dumps(document, allow_nan=False))
    assert json.loads((tmp_path / "prov.json").read_text()) == document
