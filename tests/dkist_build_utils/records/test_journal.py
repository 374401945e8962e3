"""Ends that only the journal of a local run knows."""

from __future__ import annotations

import json
from pathlib import Path

from dkist_build_utils import read_run
from dkist_build_utils.records.journal import read_journal
from tests.dkist_build_utils.records.conftest import Records

HEADER = {"journal": 1, "made_with": "0.1.0", "workflow": "vbi_l0_to_l1", "recipe_run_id": 7}
KILLED = {
    "task": "Calibrate",
    "try_number": 1,
    "result": "failure",
    "started": "2026-11-24T10:01:00.000",
    "seconds": 2.5,
    "reason": "its process was ended by SIGKILL",
    "signal": "SIGKILL",
    "peak_memory_bytes": 1000,
}


def write_journal(folder: Path, *entries: object, tail: str = "") -> None:
    """Write a journal."""
    (folder / "run.jsonl").write_text("".join(json.dumps(each) + "\n" for each in entries) + tail)


def test_journal_says_how_a_killed_attempt_ended(records: Records, tmp_path: Path) -> None:
    """The end comes from the journal where the record has none, and the engine is named."""
    records.add(end={})
    records.add(try_number=2)
    write_journal(tmp_path, HEADER, {"begun": "Calibrate", "try_number": 1}, KILLED, tail='{"task": "Cal')
    run = read_run(tmp_path)
    killed, done = run.attempts
    assert (killed.outcome, killed.reason) == ("failure", "its process was ended by SIGKILL")
    assert (killed.ended, killed.peak_memory_bytes) == ("2026-11-24T10:01:02.500Z", 1000)
    assert done.outcome == "success"
    assert run.is_done
    assert run.remarks == ()
    assert run.engine == "dkist-build-utils 0.1.0"


def test_attempt_of_the_journal_without_a_record_is_named(records: Records, tmp_path: Path) -> None:
    """An older dkist-task keeps no record: the reader says what is missing."""
    records.add(try_number=2)
    write_journal(tmp_path, HEADER, KILLED)
    assert read_run(tmp_path).remarks == ("the journal has an attempt without a record: Calibrate try 1",)


def test_what_is_no_journal_is_passed_over(tmp_path: Path) -> None:
    """A missing file, other JSON and an end with odd members are no error."""
    assert read_journal(tmp_path) is None
    write_journal(tmp_path, [1], {"no": "journal"})
    assert read_journal(tmp_path) is None
    write_journal(tmp_path, HEADER, KILLED | {"seconds": "long", "reason": 3}, {"task": ["a"], "try_number": 1})
    journal = read_journal(tmp_path)
    assert journal is not None
    assert list(journal.ends) == [("Calibrate", 1)]
