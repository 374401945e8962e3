"""The journal: what no kind of death loses, and whom it refuses."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dkist_build_utils.errors import JournalError
from dkist_build_utils.local_run.attempt import Attempt, Fingerprint
from dkist_build_utils.local_run.journal import Journal, RunIdentity, read_record

IDENTITY = RunIdentity("small_main", 7)


def attempt(task: str, result: str = "success") -> Attempt:
    """Return a first attempt."""
    return Attempt(task, 1, result, Fingerprint("small:Task"), reason="because")


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Let no file of this process grow beyond `room` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Attempts come back as they were, and the first line says what the folder belongs to."""
    with Journal(tmp_path / "run", IDENTITY) as journal:
        journal.append([attempt("A"), attempt("B", "failure")])
    record = read_record(tmp_path / "run", IDENTITY)
    assert record.last == {"A": attempt("A"), "B": attempt("B", "failure")}
    header = json.loads((tmp_path / "run" / "run.jsonl").read_text().splitlines()[0])
    assert (header["journal"], header["workflow"], header["recipe_run_id"]) == (1, "small_main", 7)


def test_every_cut_of_the_last_line_keeps_the_others(tmp_path: Path) -> None:
    """Wherever the last line is cut off, the lines before it stand and the next one is whole."""
    path = tmp_path / "run.jsonl"
    with Journal(tmp_path, IDENTITY) as journal:
        journal.append([attempt("A")])
        before = path.read_bytes()
        journal.append([attempt("B")])
    whole = path.read_bytes()
    for end in range(len(before), len(whole)):
        path.write_bytes(whole[:end])
        with Journal(tmp_path, IDENTITY) as journal:
            has_b = end == len(whole) - 1  # only its newline is missing
            assert set(journal.record.last) == ({"A", "B"} if has_b else {"A"})
            journal.append([attempt("C")])
        assert set(read_record(tmp_path, IDENTITY).last) == ({"A", "B", "C"} if has_b else {"A", "C"})


def test_header_that_was_cut_off(tmp_path: Path) -> None:
    """A folder whose first line was never finished begins anew."""
    (tmp_path / "run.jsonl").write_bytes(b'{"journal": 1, "work')
    with Journal(tmp_path, IDENTITY) as journal:
        journal.append([attempt("A")])
    assert set(read_record(tmp_path, IDENTITY).last) == {"A"}


def test_line_that_was_cut_off_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A line that is removed is not removed in silence."""
    with Journal(tmp_path, IDENTITY) as journal:
        journal.append([attempt("A")])
    assert caplog.messages == []
    with (tmp_path / "run.jsonl").open("a") as file:
        file.write('{"task": "B", "try_num')
    assert set(read_record(tmp_path, IDENTITY).last) == {"A"}
    assert caplog.messages == [
        f"{tmp_path / 'run.jsonl'} was cut off in line 3; that line is removed, the others count"
    ]


def test_disk_without_room_for_the_lock(tmp_path: Path) -> None:
    """Where not even the lock can be written, the error names the folder and the way out."""
    match = rf"^the run folder {re.escape(str(tmp_path))} cannot be written to: File too large; make room, or choose"
    with full_disk(0), pytest.raises(JournalError, match=match):
        Journal(tmp_path, IDENTITY)
    Journal(tmp_path, IDENTITY).close()


def test_full_disk_loses_nothing(tmp_path: Path) -> None:
    """Where there is no room for a line none of it is written, and the error says what to do."""
    path = tmp_path / "run.jsonl"
    with Journal(tmp_path, IDENTITY) as journal:
        journal.append([attempt("A")])
        before = path.read_bytes()
        with (
            full_disk(len(before) + 50),
            pytest.raises(JournalError, match="cannot be written: File too large; free disk space"),
        ):
            journal.append([attempt("B")])
        assert path.read_bytes() == before
        journal.append([attempt("C")])
    assert set(read_record(tmp_path, IDENTITY).last) == {"A", "C"}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'{"journal": 2, "made_with": "9.0"}\n', "written by dkist-build-utils 9.0, which is newer"),
        (b'{"journal": 1, "workflow": "other_main", "recipe_run_id": 7}\n', "holds recipe run 7 of workflow 'other_m"),
        (b'{"journal": 1, "workflow": "small_main", "recipe_run_id": 8}\n', "holds recipe run 8 of workflow 'small_m"),
        (b"[1]\n", "is not the journal of a run"),
        (b"\x00\x00\x00\n", "is not the journal of a run"),
        (b'{"journal": 1, "workflow": "small_main", "recipe_run_id": 7}\nnonsense\n{}\n', "line 2 is not a line"),
        (b'{"journal": 1, "workflow": "small_main", "recipe_run_id": 7}\n{"task": "A"}\n', "line 2 is not a line"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: bytes, match: str) -> None:
    """A journal of another run, of a newer version or of nobody is refused in a line, and stays as it is."""
    (tmp_path / "run.jsonl").write_bytes(content)
    with pytest.raises(JournalError, match=match) as refused:
        Journal(tmp_path, IDENTITY)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "run.jsonl").read_bytes() == content


def test_members_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    """A line of the same format may have more members, and lines of other kinds may stand between."""
    entry = attempt("A").to_entry() | {"later": 1}
    entry["fingerprint"] |= {"later": 1}
    header = {"journal": 1, "workflow": "small_main", "recipe_run_id": 7}
    (tmp_path / "run.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in (header, {"note": 1}, entry)))
    assert read_record(tmp_path, IDENTITY).last == {"A": attempt("A")}


def test_one_command_at_a_time(tmp_path: Path) -> None:
    """A folder that a command holds is refused to another, with the process that holds it."""
    with Journal(tmp_path, IDENTITY), pytest.raises(JournalError, match=r"in use by another .* \(process \d+\)"):
        Journal(tmp_path, IDENTITY)
    Journal(tmp_path, IDENTITY).close()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A folder that the command cannot write to is refused with the reason and the way out."""
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"file/run cannot be written to: Not a directory; choose another --folder$"):
        Journal(tmp_path / "file" / "run", IDENTITY)
