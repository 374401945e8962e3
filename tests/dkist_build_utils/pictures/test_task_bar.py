"""Attempts of tasks, put together from spans."""

from __future__ import annotations

from pathlib import Path

from dkist_build_utils.pictures.span import read_spans
from dkist_build_utils.pictures.task_bar import task_bars


def test_tasks_are_bars_with_their_spans_inside(span_folder: Path) -> None:
    """Each task is one bar, killed ones too, and nested spans lie below one another."""
    bars = {bar.name: bar for bar in task_bars(read_spans(span_folder).spans)}
    assert {name: bar.result for name, bar in bars.items()} == {
        "Done": "success",
        "Fails": "failure",
        "Killed": "unfinished",
    }
    names = [[span.name for span in lane] for lane in bars["Done"].lanes]
    assert names == [["pre_run", "run", "post_run"], ["<script>alert('x')</script>"], ["inner"]]
    assert [[span.name for span in lane] for lane in bars["Killed"].lanes] == [["pre_run", "ended"]]
