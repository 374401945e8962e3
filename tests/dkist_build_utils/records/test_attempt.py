"""Lines of a record, whoever wrote them."""

from __future__ import annotations

import json

import pytest

from dkist_build_utils.records import Declaration
from dkist_build_utils.records.attempt import attempt_from_lines, clean
from tests.dkist_build_utils.records.conftest import END, START, declared


def lines(*objects: object) -> list[bytes]:
    """Return objects as the lines of a file."""
    return [json.dumps(each).encode() for each in objects]


def test_attempt_has_what_its_lines_say() -> None:
    """Start, declarations and end are read; newer members and lines are passed over."""
    newer = {"progress": 0.5}
    used = declared("used", "s3://bucket/raw", newer=1)
    attempt = attempt_from_lines("a.jsonl", lines(START | {"gpu": "none"}, newer, used, END | {"energy": 1}))
    assert attempt is not None
    assert (attempt.task, attempt.recipe_run_id, attempt.outcome, attempt.is_done) == ("Calibrate", 7, "success", True)
    assert attempt.declarations == (Declaration("used", "s3://bucket/raw", "uri", "2026-11-24T10:00:05.000Z"),)
    assert (attempt.peak_memory_bytes, attempt.cpu_seconds, attempt.skipped_lines) == (50_000_000, 1.5, 0)
    assert attempt.last_moment == "2026-11-24T10:00:09.000Z"


def test_torn_last_line_is_counted_and_the_rest_is_kept() -> None:
    """An attempt that was killed in the midst of a write never reported an end."""
    whole = lines(START, declared("used", "s3://bucket/raw"))
    attempt = attempt_from_lines("a.jsonl", [*whole, lines(END)[0][:20]])
    assert attempt is not None
    assert (len(attempt.declarations), attempt.skipped_lines) == (1, 1)
    assert (attempt.outcome, attempt.is_done) == ("never reported an end", False)


@pytest.mark.parametrize(
    "start",
    [
        {},
        [],
        {"record": 2},
        START | {"record": 2},
        START | {"record": "1"},
        START | {"task": ""},
        START | {"recipe_run_id": "seven"},
        {name: value for name, value in START.items() if name != "started"},
    ],
)
def test_file_that_is_no_record_is_none(start: object) -> None:
    """Another form, a newer format and a start without names are no record."""
    assert attempt_from_lines("a.jsonl", lines(start, END)) is None


def test_members_of_another_form_are_passed_over() -> None:
    """A member that a stranger wrote never stops a reader."""
    odd = {"try_number": "first", "parameters": [1], "distributions": {"numpy": 2, "scipy": "1"}, "host": 3}
    strange = declared("used", "s3://b", size="big", sha256=5, modified_ns=None)
    end = END | {"peak_memory_bytes": "much", "result": 4}
    attempt = attempt_from_lines(
        "a", lines(START | odd, strange, {"declared": "eaten", "uri": "x"}, {"declared": 1}, end)
    )
    assert attempt is not None
    assert (attempt.try_number, attempt.parameters, attempt.distributions, attempt.host) == (
        None,
        {},
        {"scipy": "1"},
        "",
    )
    assert [(each.uri, each.size, each.sha256) for each in attempt.declarations] == [("s3://b", None, None)]
    assert (attempt.result, attempt.peak_memory_bytes) == (None, None)


def test_texts_are_cleaned() -> None:
    """What no XML or UTF-8 file may hold is replaced; other letters stay."""
    assert clean("größe \x1b[31m\x00\ud800\n") == "größe \ufffd[31m\ufffd?\n"
