"""The journal: what no kind of death loses, and whom it refuses."""

from __future__ import annotations

import json
import os
import re
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dkist_build_utils.errors import JournalError
from dkist_build_utils.local_run.attempt import Attempt, Fingerprint
from dkist_build_utils.local_run.journal import Journal, Record, RunIdentity, read_record

IDENTITY = RunIdentity("small_main", 7)


def attempt(task: str, result: str = "success", try_number: int = 1) -> Attempt:
    """Return an attempt, the first one unless another number is given."""
    return Attempt(task, try_number, result, Fingerprint("small:Task"), reason="because")


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
    folder = tmp_path / "new" / "run"
    with Journal(folder, IDENTITY) as journal:
        journal.append([attempt("A"), attempt("B", "failure")])
    record = read_record(folder, IDENTITY)
    assert record.last == {"A": attempt("A"), "B": attempt("B", "failure")}
    header = json.loads((folder / "run.jsonl").read_text().splitlines()[0])
    assert (header["journal"], header["workflow"], header["recipe_run_id"]) == (1, "small_main", 7)


def test_folder_without_a_journal_has_an_empty_record_and_is_not_made(tmp_path: Path) -> None:
    """To ask what a run would do leaves nothing behind."""
    assert read_record(tmp_path / "run", IDENTITY) == Record()
    assert not (tmp_path / "run").exists()


def test_task_is_interrupted_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    """A task that began and has no end is interrupted, for the command that wrote it and for the next one."""
    with Journal(tmp_path, IDENTITY) as journal:
        assert not journal.record.is_interrupted("A")
        journal.begin("A", 1, attempt("A").fingerprint)
        assert journal.record.is_interrupted("A")
        assert not journal.record.is_interrupted("B")
    assert read_record(tmp_path, IDENTITY).is_interrupted("A")
    with Journal(tmp_path, IDENTITY) as journal:
        journal.append([attempt("A", "failure")])
        assert not journal.record.is_interrupted("A")
        journal.begin("A", 2, attempt("A").fingerprint)
    record = read_record(tmp_path, IDENTITY)
    assert record.is_interrupted("A")
    assert record.tries == {"A": 2}
    with Journal(tmp_path, IDENTITY) as journal:
        journal.append([attempt("A", try_number=2)])
    assert not read_record(tmp_path, IDENTITY).is_interrupted("A")


def test_attempts_are_counted_where_no_line_says_that_they_began(tmp_path: Path) -> None:
    """The end of an attempt says its number too."""
    with Journal(tmp_path, IDENTITY) as journal:
        journal.append([attempt("A", try_number=3)])
        assert journal.record.tries == {"A": 3}


def test_what_somebody_asked_to_run_again_is_known_until_it_is_tried(tmp_path: Path) -> None:
    """The wish outlives the command; an attempt at a task, whatever its result, fulfils the wish for that task."""
    with Journal(tmp_path, IDENTITY) as journal:
        journal.append([attempt("A"), attempt("B")])
        journal.ask_again(["B", "A"])
        assert journal.record.asked == {"A", "B"}
    with Journal(tmp_path, IDENTITY) as journal:
        assert journal.record.asked == {"A", "B"}
        journal.append([attempt("A", "failure", 2)])
    assert read_record(tmp_path, IDENTITY).asked == {"B"}


def test_places_are_line_numbers_in_every_command(tmp_path: Path) -> None:
    """Of two tasks the one with the greater place ended later, also if another command ran it."""
    with Journal(tmp_path, IDENTITY) as journal:
        journal.append([attempt("A"), attempt("B")])
        assert journal.record.places == {"A": 2, "B": 3}
    with Journal(tmp_path, IDENTITY) as journal:
        journal.append([attempt("A", try_number=2)])
        assert journal.record.places == {"A": 4, "B": 3}
    assert read_record(tmp_path, IDENTITY).places == {"A": 4, "B": 3}


def test_ends_and_wishes_are_on_the_disk_and_beginnings_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash of the machine may lose that a task began: it runs again in any case."""
    flushed: list[int] = []
    monkeypatch.setattr(os, "fdatasync", flushed.append)
    with Journal(tmp_path, IDENTITY) as journal:
        flushed.clear()
        journal.begin("A", 1, attempt("A").fingerprint)
        assert len(flushed) == 0
        journal.append([attempt("A")])
        assert len(flushed) == 1
        journal.ask_again(["A"])
        assert len(flushed) == 2


def test_others_may_read_a_run_folder_and_not_write_to_it(tmp_path: Path) -> None:
    """A colleague can look at a run; the umask of whoever starts it can only close it further."""
    mask = os.umask(0)
    try:
        Journal(tmp_path, IDENTITY).close()
    finally:
        os.umask(mask)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {
        ".lock": 0o644,
        "run.jsonl": 0o644,
    }


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
    folder = re.escape(str(tmp_path))
    match = rf"^the run folder {folder} cannot be written to: File too large; free disk space, or choose"
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
        (b'{"journal": 1, "workflow": "small_main"}\n', "holds recipe run 0 of workflow 'small_m"),
        (b"[1]\n", "is not the journal of a run"),
        (b"\x00\x00\x00\n", "is not the journal of a run"),
        (b'{"journal": 1, "workflow": "small_main", "recipe_run_id": 7}\nnonsense\n{}\n', "line 2 is not a line"),
        (b'{"journal": 1, "workflow": "small_main", "recipe_run_id": 7}\n{"task": "A"}\n', "line 2 is not a line"),
        (b'{"journal": 1, "workflow": "small_main", "recipe_run_id": 7}\n{"again": 1}\n', "line 2 is not a line"),
        (
            b'{"journal": 1, "workflow": "small_main", "recipe_run_id": 7}\n{}\n{"task": "A", "fingerprint": []}\n',
            "line 3 is not a line",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, content: bytes, match: str) -> None:
    """A journal of another run, of a newer version or of nobody is refused in a line, and stays as it is."""
    (tmp_path / "run.jsonl").write_bytes(content)
    with pytest.raises(JournalError, match=match) as refused:
        Journal(tmp_path, IDENTITY)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "run.jsonl").read_bytes() == content
    with pytest.raises(JournalError, match=match):  # and not: in use by another command
        Journal(tmp_path, IDENTITY)


def test_members_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    """A line of the same format may have more members, and lines of other kinds may stand between."""
    entry = attempt("A").to_entry() | {"later": 1}
    entry["fingerprint"] |= {"later": 1}
    header = {"journal": 1, "workflow": "small_main", "recipe_run_id": 7}
    (tmp_path / "run.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in (header, {"note": 1}, entry)))
    assert read_record(tmp_path, IDENTITY).last == {"A": attempt("A")}


def test_one_command_at_a_time(tmp_path: Path) -> None:
    """A folder that a command holds is refused to another, with the process that holds it."""
    (tmp_path / ".lock").write_text("12345678901\n")  # of an earlier command, whose number was longer
    with Journal(tmp_path, IDENTITY):
        held = set(os.listdir("/proc/self/fd"))
        with pytest.raises(JournalError, match=rf"in use by another .* \(process {os.getpid()}\)"):
            Journal(tmp_path, IDENTITY)
        assert set(os.listdir("/proc/self/fd")) == held
    Journal(tmp_path, IDENTITY).close()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A folder that the command cannot write to is refused with the reason and the way out."""
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"file/run cannot be written to: Not a directory; choose another --folder$"):
        Journal(tmp_path / "file" / "run", IDENTITY)
