"""The drawing of a run, from spans that real tasks left."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dkist_build_utils.errors import SpansError
from dkist_build_utils.pictures.span import read_spans
from dkist_build_utils.pictures.task_bar import task_bars
from dkist_build_utils.pictures.timeline import _ticks, render_timeline
from tests.dkist_build_utils.pictures.conftest import TASKS, run_task


class Page(HTMLParser):
    """What a browser would see of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.classes: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.classes.append(dict(attrs).get("class") or "")


def test_the_page_shows_failures_and_no_foreign_markup(span_folder: Path) -> None:
    """A page needs nothing else, marks what failed, and shows a task's text as text."""
    text = render_timeline(span_folder)
    page = Page(text)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert page.classes.count("task failed") == 1
    assert page.classes.count("task failed unfinished") == 1
    assert "ValueError: clouds &amp; &lt;b&gt;rain" in text
    assert "vbi 1.2.0, recipe run 7" in text
    assert "http" not in text


def test_attempts_and_recipe_runs_are_kept_apart(tmp_path: Path) -> None:
    """A task that ran again is another bar with its number, and one recipe run can be drawn alone."""
    (tmp_path / "tasks.py").write_text(TASKS)
    folder = tmp_path / "spans"
    for run, attempt, task in ((7, 1, "Killed"), (7, 2, "Fails"), (7, 3, "Fails"), (7, 2, "Killed"), (8, 1, "Done")):
        run_task(tmp_path, folder, task, run=run, DKIST_TRY_NUMBER=str(attempt))
    bars = task_bars(read_spans(folder).spans)
    assert [(bar.recipe_run_id, bar.name, bar.attempt) for bar in bars] == [
        ("7", "Killed", 1),
        ("7", "Fails", 2),
        ("7", "Fails", 3),
        ("7", "Killed", 2),
        ("8", "Done", 1),
    ]
    page = render_timeline(folder, "7")
    assert "<title>Fails, attempt 3</title>" in page
    assert "recipe run 7</title>" in page
    assert "Done" not in page
    assert "Done of 8" in render_timeline(folder)
    with pytest.raises(SpansError, match="holds no spans of recipe run 9; it holds those of 7, 8"):
        render_timeline(folder, "9")


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.004, ["10:00:00.000", "10:00:00.001", "10:00:00.002", "10:00:00.003", "10:00:00.004"]),
        (40, ["10:00:00", "10:00:10", "10:00:20", "10:00:30", "10:00:40"]),
        (5 * 3600, ["10:00", "11:00", "12:00", "13:00", "14:00", "15:00"]),
    ],
)
def test_axis_has_round_times_of_the_clock(seconds: float, labels: list[str]) -> None:
    """Marks are at round times in UTC, a few of them for a run of any length."""
    start = datetime(2026, 11, 24, 10, tzinfo=UTC).timestamp()
    found = [label for _, label in _ticks(start, start + seconds + 1e-6)]
    assert found == labels
