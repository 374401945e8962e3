"""The drawing of a run, from spans that real tasks left."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dkist_build_utils.errors import SpansError
from dkist_build_utils.pictures.span import read_spans
from dkist_build_utils.pictures.timeline import render_timeline, task_bars

TASKS = """
import os, sys
from dkist_task import TaskBase

class Done(TaskBase):
    def run(self):
        with self.telemetry_span("<script>alert('x')</script>"):
            with self.telemetry_span("inner"): pass

class Fails(TaskBase):
    def run(self): raise ValueError("clouds & <b>rain</b>")

class Killed(TaskBase):
    def run(self):
        with self.telemetry_span("ended"): pass
        os.kill(os.getpid(), 9)
"""


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


@pytest.fixture
def span_folder(tmp_path: Path) -> Path:
    """Return a folder with the spans of a run: a task that is done, one that failed, one that was killed."""
    (tmp_path / "tasks.py").write_text(TASKS)
    folder = tmp_path / "spans"
    for task in ("Done", "Fails", "Killed"):
        subprocess.run(
            [sys.executable, "-m", "dkist_task", "run", f"tasks:{task}", "--recipe-run-id=7", "--workflow-name=vbi",
             "--workflow-version=1.2.0"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "DKIST_SPAN_FOLDER": str(folder)},
            capture_output=True,
            check=False,
        )  # fmt: skip
    return folder


def test_tasks_are_bars_with_their_spans_inside(span_folder: Path) -> None:
    """Each task is one bar, killed ones too, and nested spans lie below one another."""
    bars = {bar.name: bar for bar in task_bars(read_spans(span_folder))}
    assert {name: bar.result for name, bar in bars.items()} == {
        "Done": "success",
        "Fails": "failure",
        "Killed": "unfinished",
    }
    names = [[span.name for span in lane] for lane in bars["Done"].lanes]
    assert names == [["pre_run", "run", "post_run"], ["<script>alert('x')</script>"], ["inner"]]
    assert [[span.name for span in lane] for lane in bars["Killed"].lanes] == [["pre_run", "ended"]]


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


def test_half_a_line_and_other_files_are_passed_over(span_folder: Path) -> None:
    """What a killed task or another program left does not hide the rest."""
    before = read_spans(span_folder)
    file = next(span_folder.iterdir())
    file.write_bytes(file.read_bytes() + b'{"resourceSpans":[{"resource"')
    (span_folder / "notes.json").write_text('[1, {"resourceSpans": null}]\n{"resourceSpans": [{"scopeSpans": 3}]}\n')
    assert read_spans(span_folder) == before


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_spans_is_refused(tmp_path: Path, name: str) -> None:
    """There is nothing to draw, and the message says what to set."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpansError, match="DKIST_SPAN_FOLDER"):
        render_timeline(tmp_path / name)
