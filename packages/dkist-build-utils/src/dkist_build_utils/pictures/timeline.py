"""A run drawn from the spans that its tasks left: when each task worked, at what, and which failed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from dkist_build_utils.pictures.span import Span, read_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

WIDTH = 1000
"""Width of the drawing in its own units, of which a browser makes as much as there is room."""
LEFT = 220
"""Where the time axis begins: what is left of it holds the tasks' names."""
LANE = 16
"""Height of a span."""
TICKS = 5

STYLE = """
body { font: 14px system-ui, sans-serif; margin: 2em; color: #1b1f24; background: #fff; }
svg { width: 100%; font-size: 11px; } td, th { text-align: left; padding: 2px 14px 2px 0; }
.task { fill: #dbe7f5; stroke: #6b8fb8; } .span { fill: #6b9bd1; stroke: #fff; }
.failed.task { fill: #fbdcd8; stroke: #c33; } .failed.span { fill: #d9534a; }
.unfinished.task { stroke-dasharray: 4 3; }
.tick { stroke: #d5dae0; } text { fill: #1b1f24; } .inside { fill: #fff; pointer-events: none; }
.result-failed { color: #b3261e; }
"""


@dataclass(frozen=True)
class TaskBar:
    """One run of one task."""

    name: str
    """The task."""
    result: str
    """How it ended; `unfinished` where it was killed before it could say."""
    start: float
    """When it began, in seconds since the epoch."""
    end: float
    """When it ended, in seconds since the epoch."""
    is_failed: bool
    """Whether it failed, or never ended."""
    message: str
    """Why it failed."""
    lanes: tuple[tuple[Span, ...], ...]
    """Its spans, outer ones above inner ones; none in a lane overlaps another."""


def render_timeline(span_folder: Path) -> str:
    """Return a page that draws the tasks in a folder of spans, complete in itself.

    Parameters
    ----------
    span_folder
        The folder that ``DKIST_SPAN_FOLDER`` named when the tasks ran.

    Raises
    ------
    SpansError
        Where there is no span in the folder.
    """
    spans = read_spans(span_folder)
    bars = task_bars(spans)
    runs = sorted({title for span in spans if (title := _run_title(span))})
    title = ", ".join(runs) or span_folder.name
    began = datetime.fromtimestamp(min(bar.start for bar in bars), UTC)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{_safe(title)}</title>\n'
        f"<style>{STYLE}</style>\n<h1>{_safe(title)}</h1>\n"
        f"<p>{len(bars)} tasks, {len(spans)} spans, from {began:%Y-%m-%d %H:%M:%S} UTC</p>\n"
        f"{_drawing(bars)}\n{_table(bars)}\n</html>\n"
    )


def task_bars(spans: Sequence[Span]) -> tuple[TaskBar, ...]:
    """Return the tasks that spans tell of, in the order of their beginnings."""
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    members: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for span in spans:
        members[_task_key(span, by_id)].append(span)
    bars = [_bar(by_id.get(key), inside) for key, inside in members.items()]
    return tuple(sorted(bars, key=lambda bar: (bar.start, bar.end, bar.name)))


def _task_key(span: Span, by_id: Mapping[tuple[str, str], Span]) -> tuple[str, str]:
    """Return trace and id of the task's own span above `span`; where a kill left none, trace and task."""
    seen = {span.span_id}
    while not span.attribute("cicd.pipeline.task.run.result"):
        parent = by_id.get((span.trace_id, span.parent_id))
        if parent is None or parent.span_id in seen:
            return span.trace_id, _task_of_file(span)
        seen.add(parent.span_id)
        span = parent
    return span.trace_id, span.span_id


def _task_of_file(span: Span) -> str:
    """Return the task that wrote `span`: its file is named by it first."""
    return span.file.partition("-")[0]


def _bar(root: Span | None, members: Sequence[Span]) -> TaskBar:
    """Return the bar of a task from its own span, None where that was never written, and all that is part of it."""
    inside = [span for span in members if span is not root]
    if root is None:
        return TaskBar(
            name=_task_of_file(members[0]),
            result="unfinished",
            start=min(span.start for span in members),
            end=max(span.end for span in members),
            is_failed=True,
            message="no span of the task itself: it was killed, or is still at work",
            lanes=_lanes(inside),
        )
    return TaskBar(
        name=root.name,
        result=root.attribute("cicd.pipeline.task.run.result") or ("failure" if root.is_failed else "success"),
        start=min(span.start for span in members),
        end=max(span.end for span in members),
        is_failed=root.is_failed,
        message=root.message,
        lanes=_lanes(inside),
    )


def _lanes(spans: Iterable[Span]) -> tuple[tuple[Span, ...], ...]:
    """Place each span in the first lane below its parent's where there is room."""
    lanes: list[list[Span]] = []
    lane_of: dict[str, int] = {}
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        lane = lane_of.get(span.parent_id, -1) + 1
        while lane < len(lanes) and lanes[lane][-1].end > span.start:
            lane += 1
        lanes += [[] for _ in range(lane + 1 - len(lanes))]
        lanes[lane].append(span)
        lane_of[span.span_id] = lane
    return tuple(map(tuple, lanes))


def _drawing(bars: Sequence[TaskBar]) -> str:
    """Return the picture of all tasks over one axis of time."""
    start, end = min(bar.start for bar in bars), max(bar.end for bar in bars)
    scale = (WIDTH - LEFT - 10) / max(end - start, 1e-9)

    def across(begin: float, finish: float) -> str:
        return f'x="{LEFT + (begin - start) * scale:.2f}" width="{max((finish - begin) * scale, 1):.2f}"'

    parts: list[str] = []
    top = 24
    for bar in bars:
        height = 6 + LANE * max(len(bar.lanes), 1)
        kinds = "task" + " failed" * bar.is_failed + " unfinished" * (bar.result == "unfinished")
        told = f"{bar.name}: {bar.result}, {_duration(bar.end - bar.start)}\n{bar.message}".strip()
        box = f'y="{top}" height="{height}" {across(bar.start, bar.end)}'
        parts.append(f'<text x="0" y="{top + 15}">{_safe(_cut(bar.name, 34))}</text>')
        parts.append(f'<rect class="{kinds}" {box}><title>{_safe(told)}</title></rect>')
        for number, lane in enumerate(bar.lanes):
            y = top + 3 + number * LANE
            for span in lane:
                box = f'y="{y}" height="{LANE}" {across(span.start, span.end)}'
                kinds = "span" + " failed" * span.is_failed
                parts.append(f'<rect class="{kinds}" {box}><title>{_safe(_told(span))}</title></rect>')
                letters = int((span.end - span.start) * scale / 6.5)
                if letters > 2:
                    x = LEFT + (span.start - start) * scale + 3
                    label = _safe(_cut(span.name, letters))
                    parts.append(f'<text class="inside" x="{x:.2f}" y="{y + 12}">{label}</text>')
        top += height + 6
    axis = [
        f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="16" y2="{top}"/>'
        f'<text x="{x:.1f}" y="12" text-anchor="middle">{_duration((end - start) * number / TICKS)}</text>'
        for number in range(TICKS + 1)
        for x in [LEFT + (WIDTH - LEFT - 10) * number / TICKS]
    ]
    body = "\n".join(axis + parts)
    return f'<svg viewBox="0 0 {WIDTH + 30} {top}" role="img" aria-label="tasks over time">\n{body}\n</svg>'


def _table(bars: Sequence[TaskBar]) -> str:
    """Return what the drawing says in words."""
    rows = [
        f"<tr><td>{_safe(bar.name)}</td>"
        f'<td class="result-{"failed" if bar.is_failed else "done"}">{_safe(bar.result)}</td>'
        f"<td>{_duration(bar.end - bar.start)}</td><td>{_safe(bar.message)}</td></tr>"
        for bar in bars
    ]
    head = "<tr><th>task</th><th>result</th><th>took</th><th>why</th></tr>"
    return "<table>\n" + "\n".join([head, *rows]) + "\n</table>"


def _told(span: Span) -> str:
    """Return all that is known of a span."""
    lines = [f"{span.name}: {_duration(span.end - span.start)}", span.message]
    lines += [f"{name} = {value}" for name, value in span.attributes]
    return "\n".join(filter(None, lines))


def _run_title(span: Span) -> str:
    """Return which run of which workflow a task's own span is part of, empty for other spans."""
    name, run = span.attribute("cicd.pipeline.name"), span.attribute("cicd.pipeline.run.id")
    return f"{name} {span.attribute('dkist.workflow.version')}, recipe run {run}" if name else ""


def _duration(seconds: float) -> str:
    """Return a time that took as long as `seconds`, as people say it."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest:.0f} s" if minutes else f"{rest:.1f} s"


def _cut(text: str, letters: int) -> str:
    """Return `text` in no more than so many letters."""
    return text if len(text) <= letters else text[: max(letters - 1, 1)] + "\u2026"


def _safe(text: str) -> str:
    """Return `text` for a page: names and messages come from tasks, and none of them is markup."""
    return escape("".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text))
