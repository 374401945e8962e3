"""Attempts of tasks, put together from the spans that they left."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dkist_build_utils.pictures.span import Span

_RESULT = "cicd.pipeline.task.run.result"


@dataclass(frozen=True)
class TaskBar:
    """One attempt of one task."""

    name: str
    """The task."""
    recipe_run_id: str
    """The recipe run; empty if unknown."""
    attempt: int
    """Which attempt of the task in its recipe run it is, from 1."""
    result: str
    """How it ended; `unfinished` if it was killed before it wrote its own span."""
    start: float
    """When it began, in seconds since the epoch."""
    end: float
    """When it ended, in seconds since the epoch."""
    is_failed: bool
    """Whether it failed, or never ended."""
    message: str
    """Why it failed."""
    lanes: tuple[tuple[Span, ...], ...]
    """Its spans, outer ones above inner ones; no two in a lane overlap."""


def task_bars(spans: Sequence[Span]) -> tuple[TaskBar, ...]:
    """Return the attempts that spans are part of, in the order in which they began."""
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    members: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for span in spans:
        members[_task_key(span, by_id)].append(span)
    bars = sorted(
        (_bar(by_id.get(key), inside) for key, inside in members.items()),
        key=lambda bar: (bar.start, bar.end, bar.name),
    )
    attempts: dict[tuple[str, str], int] = defaultdict(int)
    numbered = []
    for bar in bars:
        attempt = max(bar.attempt, attempts[bar.recipe_run_id, bar.name] + 1)
        attempts[bar.recipe_run_id, bar.name] = attempt
        numbered.append(replace(bar, attempt=attempt))
    return tuple(numbered)


def _task_key(span: Span, by_id: Mapping[tuple[str, str], Span]) -> tuple[str, str]:
    """Return trace and id of the task's own span above `span`; if a kill left none, trace and file."""
    seen = {span.span_id}
    while not span.attribute(_RESULT):
        parent = by_id.get((span.trace_id, span.parent_id))
        if parent is None or parent.span_id in seen:
            return span.trace_id, span.file
        seen.add(parent.span_id)
        span = parent
    return span.trace_id, span.span_id


def _bar(root: Span | None, members: Sequence[Span]) -> TaskBar:
    """Return the bar of an attempt from the task's own span, None if it was never written, and all spans inside."""
    # A file is named <task>-<recipe run>-<unique>.
    task, _, rest = members[0].file.partition("-")
    number = "" if root is None else root.attribute("dkist.task.try_number")
    return TaskBar(
        name=task if root is None else root.name,
        recipe_run_id=(root and root.attribute("dkist.recipe_run.id")) or rest.partition("-")[0],
        attempt=int(number) if number.isdecimal() else 1,
        result="unfinished" if root is None else root.attribute(_RESULT),
        start=min(span.start for span in members),
        end=max(span.end for span in members),
        is_failed=root is None or root.is_failed,
        message="the task left no span of its own: it was killed, or still runs" if root is None else root.message,
        lanes=_lanes(span for span in members if span is not root),
    )


def _lanes(spans: Iterable[Span]) -> tuple[tuple[Span, ...], ...]:
    """Place each span in the first lane below its parent's that has room."""
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
