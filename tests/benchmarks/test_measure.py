"""A promise is kept when it was measured and holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.measure import Comparison, as_json, interleaved, report, table

KEPT = Comparison("start", 1.5, 1.0, "bare interpreter", limit=2.0)
BROKEN = Comparison("start", 3.0, 1.0, "bare interpreter", limit=2.0)
MISSING = Comparison("start", 1.5, None, "predecessor", limit=2.0, note="NOT MEASURED: no Python")
INFORMING = Comparison("start", 9.0, 1.0, "hand-written")


@pytest.mark.parametrize(("row", "is_kept"), [(KEPT, True), (BROKEN, False), (MISSING, False), (INFORMING, True)])
def test_promise_is_kept_only_when_measured(row: Comparison, is_kept: bool) -> None:  # a parameter
    """A limit over which the ratio is, and one without a reference, are both broken."""
    assert row.is_kept is is_kept


def test_table_says_what_is_broken_and_what_is_missing() -> None:
    """A reader needs nothing else."""
    lines = table([KEPT, BROKEN, MISSING]).splitlines()
    assert lines[1].split() == ["start", "1.5", "s", "1", "s", "bare", "interpreter", "1.5", "2", "ok"]
    assert "BROKEN" in lines[2]
    assert lines[3].endswith("NOT MEASURED: no Python")


def test_json_has_the_ratio() -> None:
    """Who reads the file computes nothing."""
    rows = json.loads(as_json([KEPT, MISSING]))
    assert [row["ratio"] for row in rows] == [1.5, None]
    assert rows[0]["limit"] == 2.0


def test_actions_take_turns() -> None:
    """No action is timed in one stretch; the warm-up is not counted."""
    order: list[str] = []
    seconds = interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2, warm_up=1)
    assert order == ["a", "b"] * 3
    assert seconds.keys() == {"a", "b"}


def test_broken_promise_ends_with_1_and_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows are there to look at, whatever they say."""
    monkeypatch.setattr("sys.argv", ["benchmark", "--json", str(tmp_path / "rows.json")])
    with pytest.raises(SystemExit, match="1"):
        report(lambda: [BROKEN])
    assert json.loads((tmp_path / "rows.json").read_text())[0]["ours"] == 3.0
    assert "BROKEN" in capsys.readouterr().out
