"""A run drawn over time: when each task worked, what it did, and which tasks failed."""

from __future__ import annotations

import logging
import math
from collections import Counter
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from dkist_build_utils.errors import SpansError, counted
from dkist_build_utils.pictures.span import Span, read_spans
from dkist_build_utils.pictures.task_bar import TaskBar, task_bars

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LOGGER = logging.getLogger(__name__)
_WIDTH = 1000
"""Width of the drawing in its own units; a browser scales it to the page."""
_LEFT = 230
"""Where the time axis begins; left of it are the names of the tasks."""
_LANE = 16
"""Height of a span."""
_TICKS = 7
"""Marks on the axis, at most."""
_STEPS = (*(n * 10**e for e in range(-3, 1) for n in (1, 2, 5)), 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
          10800, 21600, 43200, 86400)  # fmt: skip
"""Seconds between two marks: round times of a clock."""

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1b1f24; --rule: #d5dae0; --task: #dbe7f5; --rim: #6b8fb8;
  --span: #3f73b0; --bad-task: #fbdcd8; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --page: #14181f; --ink: #e6ebf2; --rule: #333d4a; --task: #1f2d40;
  --rim: #5d83b3; --span: #34659f; --bad-task: #43211f; --bad: #f2837a; } }
body { font: 14px system-ui, sans-serif; margin: 2em; color: var(--ink); background: var(--page); }
svg { width: 100%; font-size: 11px; } td, th { text-align: left; padding: 2px 14px 2px 0; vertical-align: top; }
text { fill: var(--ink); } .tick { stroke: var(--rule); }
.task { fill: var(--task); stroke: var(--rim); } .failed.task { fill: var(--bad-task); stroke: var(--bad); }
.unfinished.task { stroke-dasharray: 4 3; } .span { fill: var(--span); stroke: var(--page); }
.failed.span { fill: #b3382f; } .inside { fill: #fff; pointer-events: none; } .reach { fill: transparent; }
.name { display: none; paint-order: stroke; stroke: var(--page); stroke-width: 4px; pointer-events: none; }
g:hover > .name { display: inline; } .result-failed { color: var(--bad); }
"""


def render_timeline(span_folder: Path, recipe_run_id: str | None = None) -> str:
    """Return a self-contained page that draws the tasks in a folder of spans.

    Parameters
    ----------
    span_folder : Path
        The folder that ``DKIST_SPAN_FOLDER`` named when the tasks ran.
    recipe_run_id : str, optional
        Draw this recipe run only. By default all.

    Raises
    ------
    SpansError
        There is no span in the folder, or none of this recipe run.
    """
    found = read_spans(span_folder)
    if found.skipped_lines:
        _LOGGER.warning("%s: skipped %s without spans", span_folder, counted(found.skipped_lines, "line"))
    every = task_bars(found.spans)
    bars = [bar for bar in every if recipe_run_id in {None, bar.recipe_run_id}]
    if not bars:
        known = ", ".join(sorted({bar.recipe_run_id for bar in every}))
        raise SpansError(f"{span_folder} holds no spans of recipe run {recipe_run_id}; it holds those of {known}")
    runs = {bar.recipe_run_id for bar in bars}
    titles = {title: run for span in found.spans if (title := _run_title(span)) for run in [_run_of(span)]}
    title = ", ".join(sorted(title for title, run in titles.items() if run in runs)) or span_folder.name
    began, ended = min(bar.start for bar in bars), max(bar.end for bar in bars)
    spans = sum(len(lane) for bar in bars for lane in bar.lanes)
    skipped = f"; {counted(found.skipped_lines, 'line')} without spans skipped" if found.skipped_lines else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{_safe(title)}</title>\n'
        f"<style>{_STYLE}</style>\n<h1>{_safe(title)}</h1>\n"
        f"<p>{counted(len(bars), 'attempt')} of tasks with {counted(spans, 'span')}, "
        f"from {_moment(began):%Y-%m-%d %H:%M:%S} to {_moment(ended):%Y-%m-%d %H:%M:%S} UTC{skipped}</p>\n"
        f"{_drawing(bars)}\n{_table(bars)}\n</html>\n"
    )


def _drawing(bars: Sequence[TaskBar]) -> str:
    """Return the picture of all tasks over one axis of time."""
    start, end = min(bar.start for bar in bars), max(bar.end for bar in bars)
    scale = (_WIDTH - _LEFT - 10) / max(end - start, 1e-3)
    labels = _labels(bars)
    parts: list[str] = []
    top = 24
    for bar, label in zip(bars, labels, strict=True):
        height = 6 + _LANE * max(len(bar.lanes), 1)
        kinds = "task" + " failed" * bar.is_failed + " unfinished" * (bar.result == "unfinished")
        said = (
            f"{label}: {bar.result}, {_duration(bar.end - bar.start)} from {_clock(bar.start)}\n{bar.message}".strip()
        )
        left, width = _LEFT + (bar.start - start) * scale, max((bar.end - bar.start) * scale, 1)
        parts.append(f'<text x="0" y="{top + 15}"><title>{_safe(label)}</title>{_safe(_cut(label, 36))}</text>')
        parts.append(
            f'<rect class="{kinds}" x="{left:.2f}" y="{top}" width="{width:.2f}" height="{height}">'
            f"<title>{_safe(said)}</title></rect>"
        )
        for number, lane in enumerate(bar.lanes):
            for span in lane:
                x, width = _LEFT + (span.start - start) * scale, (span.end - span.start) * scale
                parts.append(_span_box(span, x, width, top + 3 + number * _LANE))
        top += height + 6
    axis = [
        f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="16" y2="{top}"/>'
        f'<text x="{x:.1f}" y="12" text-anchor="middle">{label}</text>'
        for moment, label in _ticks(start, end)
        for x in [_LEFT + (moment - start) * scale]
    ]
    body = "\n".join(axis + parts)
    return f'<svg viewBox="0 0 {_WIDTH + 30} {top}" role="img" aria-label="tasks over time">\n{body}\n</svg>'


def _span_box(span: Span, x: float, width: float, y: int) -> str:
    """Return a span with its name: inside if there is room, else beside it while the pointer is near."""
    letters = int(width / 6.5)
    if letters >= min(len(span.name), 4):
        label = f'<text class="inside" x="{x + 3:.2f}" y="{y + 12}">{_safe(_cut(span.name, letters))}</text>'
    else:
        reach = max(width, 8)
        label = (
            f'<rect class="reach" x="{x - (reach - width) / 2:.2f}" y="{y}" width="{reach:.2f}" height="{_LANE}"/>'
            f'<text class="name" x="{x + width + 5:.2f}" y="{y + 12}">{_safe(_cut(span.name, 60))}</text>'
        )
    kinds = "span" + " failed" * span.is_failed
    lines = [f"{span.name}: {_duration(span.end - span.start)} from {_clock(span.start)}", span.message]
    lines += [f"{name} = {value}" for name, value in span.attributes]
    return (
        f'<g><title>{_safe(chr(10).join(filter(None, lines)))}</title><rect class="{kinds}" x="{x:.2f}" y="{y}" '
        f'width="{max(width, 1):.2f}" height="{_LANE}"/>{label}</g>'
    )


def _ticks(start: float, end: float) -> list[tuple[float, str]]:
    """Return round times of the clock between two moments, in seconds since the epoch, and their labels."""
    step = next(
        (step for step in _STEPS if (end - start) / step <= _TICKS), math.ceil((end - start) / _TICKS / 86400) * 86400
    )
    form = "%m-%d" if step >= 86400 else "%H:%M" if step >= 60 else "%H:%M:%S"
    moments = [number * step for number in range(math.ceil(start / step), math.floor(end / step) + 1)]
    labels = [f"{_moment(moment):{form}}" if step >= 1 else _clock(moment) for moment in moments]
    return list(zip(moments, labels, strict=True))


def _table(bars: Sequence[TaskBar]) -> str:
    """Return a table that says in words what the drawing shows."""
    rows = [
        f"<tr><td>{_safe(label)}</td>"
        f'<td class="result-{"failed" if bar.is_failed else "done"}">{_safe(bar.result)}</td>'
        f"<td>{_clock(bar.start)}</td><td>{_duration(bar.end - bar.start)}</td><td>{_safe(bar.message)}</td></tr>"
        for bar, label in zip(bars, _labels(bars), strict=True)
    ]
    head = "<tr><th>task</th><th>result</th><th>began (UTC)</th><th>took</th><th>why</th></tr>"
    return "<table>\n" + "\n".join([head, *rows]) + "\n</table>"


def _labels(bars: Sequence[TaskBar]) -> list[str]:
    """Return the name of each bar, with its recipe run and its attempt where there are several."""
    runs = {bar.recipe_run_id for bar in bars}
    attempts = Counter((bar.recipe_run_id, bar.name) for bar in bars)
    return [
        bar.name
        + f" of {bar.recipe_run_id}" * (len(runs) > 1)
        + f", attempt {bar.attempt}" * (bar.attempt > 1 or attempts[bar.recipe_run_id, bar.name] > 1)
        for bar in bars
    ]


def _run_of(span: Span) -> str:
    return span.attribute("dkist.recipe_run.id") or span.attribute("cicd.pipeline.run.id")


def _run_title(span: Span) -> str:
    """Return the workflow and the recipe run of a task's own span; empty for other spans."""
    name, version = span.attribute("cicd.pipeline.name"), span.attribute("dkist.workflow.version")
    return f"{name} {version}, recipe run {_run_of(span)}" if name else ""


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _clock(seconds: float) -> str:
    """Return a time of day to a millisecond."""
    return f"{_moment(seconds):%H:%M:%S.%f}"[:-3]


def _duration(seconds: float) -> str:
    """Return a duration in the units that people use."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest:.0f} s" if minutes else f"{rest:.1f} s"


def _cut(text: str, letters: int) -> str:
    """Return a text, cut to a number of letters."""
    return text if len(text) <= letters else text[: max(letters - 1, 1)] + "\u2026"


def _safe(text: str) -> str:
    """Return a text escaped for a page: names and messages come from tasks and must not become markup."""
    return escape("".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text))
