"""A run drawn as a picture file: which task made which files of which."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter
from html import escape
from typing import TYPE_CHECKING

from dkist_airflow_node.commands import size_text
from dkist_build_utils.errors import counted
from dkist_build_utils.pictures import Grid, layered, svg_page, without_cycles
from dkist_build_utils.records.attempt import DONE_RESULTS, clean
from dkist_build_utils.records.file_group import groups_of
from dkist_build_utils.records.item import CHANGED, GONE, MISSING, TOUCHED

if TYPE_CHECKING:
    from dkist_build_utils.records.file_group import FileGroup
    from dkist_build_utils.records.run import RunRecord

_GRID = Grid(row=60, box=44, gap=64, margin=20, top=72)
_LETTERS = 34
"""Letters that a box shows of a text; all of it is in the tooltip."""
_LISTED = 25
"""Files that a tooltip names."""

_STYLE = """
svg { --page: #ffffff; --ink: #1c2430; --soft: #5b6675; --edge: #97a3b3; --task: #dfe9f6; --rim: #5f7fa8;
  --file: #fbf6e9; --file-rim: #b49a5c; --bad: #c22f3d; --warn: #9a6700; font-family: system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --page: #14181f; --ink: #e6ebf2; --soft: #9ba7b7; --edge: #6a788b; --task: #22324a; --rim: #6f94c6;
    --file: #2b2720; --file-rim: #8d7a4c; --bad: #ff7b82; --warn: #e0b040; }
}
.page { fill: var(--page); } text { fill: var(--ink); font-size: 13px; } .title { font-size: 18px; font-weight: 600; }
.soft { fill: var(--soft); font-size: 11px; } .task .box { fill: var(--task); stroke: var(--rim); stroke-width: 1.5; }
.files .box { fill: var(--file); stroke: var(--file-rim); }
.edge { fill: none; stroke: var(--edge); stroke-width: 1.5; } .head { fill: var(--edge); }
.edge.back { stroke-dasharray: 5 4; }
.failed .box { stroke: var(--bad); stroke-width: 2.5; } .failed .soft { fill: var(--bad); }
.silent .box { stroke: var(--bad); stroke-width: 2.5; stroke-dasharray: 5 4; } .silent .soft { fill: var(--bad); }
.gone .box { fill: none; stroke: var(--warn); stroke-dasharray: 5 4; } .gone .soft { fill: var(--warn); }
.changed .box { stroke: var(--warn); stroke-width: 2.5; } .changed .soft { fill: var(--warn); }
"""


@dataclass(frozen=True)
class _Box:
    """A task, or files that stand together."""

    kind: str
    """Its classes in the picture."""
    name: str
    """The upper line."""
    note: str
    """The lower line."""
    detail: str
    """All that is known of it, for the tooltip."""

    @property
    def width(self) -> int:
        """The width of the box in pixels, from the mean width of a letter in either size."""
        return max(96, 26 + round(7.6 * len(_cut(self.name))), 26 + round(6.2 * len(_cut(self.note))))


def record_svg(record: RunRecord) -> str:
    """Return a run as an SVG picture that needs nothing else and is readable on dark and on light pages.

    Files that the same tasks generated and used stand in one box, with their number. A task that failed has a red rim,
    one that never reported an end a dashed one; files that are gone or changed are marked.

    Parameters
    ----------
    record : RunRecord
        The run.
    """
    groups = groups_of(record.items)
    boxes = {f"task {task}": _task_box(record, task) for task in dict.fromkeys(each.task for each in record.attempts)}
    boxes |= {f"files {number}": _files_box(group) for number, group in enumerate(groups)}
    edges = [
        edge
        for number, group in enumerate(groups)
        for edge in (
            *((f"task {task}", f"files {number}") for task in group.makers),
            *((f"files {number}", f"task {task}") for task in group.users),
        )
    ]
    forward, back = without_cycles(boxes, edges)
    above: dict[str, list[str]] = {name: [] for name in boxes}
    for one, other in forward:
        above[other].append(one)
    layout = layered({name: above[name] for name in TopologicalSorter(above).static_order()})
    grid = _GRID.with_columns({name: box.width for name, box in boxes.items()}, layout.layers)
    rows = [*layout.rows.values(), *(row for way in layout.ways.values() for _, row in way)]
    title = clean(record.title)
    width = max(grid.columns[-1][1], grid.margin + 10 * len(title)) + grid.margin
    places = {name: (grid.columns[layout.layers[name]][0], grid.top_of(layout.rows[name])) for name in boxes}
    parts = [
        *(_edge(grid.path(layout.ways[edge], boxes[edge[0]].width)) for edge in forward),
        *(_edge(_path_back(*(_foot(grid, boxes[name], places[name]) for name in edge)), " back") for edge in back),
        *(_drawn(grid, box, places[name]) for name, box in boxes.items()),
    ]
    below = 30 if back else 0
    return svg_page((width, grid.height(rows) + below), _STYLE, title, (_subtitle(record), 50), parts) + "\n"


def _subtitle(record: RunRecord) -> str:
    """Return what the picture shows, in numbers."""
    tasks = counted(len({each.task for each in record.attempts}), "task")
    files = counted(len(record.items), "file")
    return f"{tasks} · {counted(len(record.attempts), 'attempt')} · {files} · from {record.attempts[0].started[:19]}Z"


def _task_box(record: RunRecord, task: str) -> _Box:
    """Return the box of a task: how its last attempt ended, and how many there were."""
    attempts = [attempt for attempt in record.attempts if attempt.task == task]
    last = record.last_attempts.get(task, attempts[-1])
    kind = "task" if last.result in DONE_RESULTS else "task silent" if last.result is None else "task failed"
    note = last.outcome if len(attempts) == 1 else f"{last.outcome} · {len(attempts)} attempts"
    lines = [task, last.entry_point, last.distribution]
    for attempt in attempts:
        end = f" to {attempt.ended}" if attempt.ended else ""
        words = f"{attempt.action} {record.number_of(attempt)}: {attempt.outcome} on {attempt.host}"
        lines.append(f"{words}, from {attempt.started}{end}")
        if attempt.reason:
            lines.append(f"  {attempt.reason[:500]}")
    return _Box(kind, task, note, "\n".join(filter(None, lines)))


def _files_box(group: FileGroup) -> _Box:
    """Return the box of files: their name or number, their size, and what became of them."""
    states = [item.state for item in group.items]
    gone = sum(state in {GONE, MISSING} for state in states)
    changed = sum(state in {CHANGED, TOUCHED} for state in states)
    kind = "files gone" if gone == len(states) else "files changed" if gone or changed else "files"
    folder = group.place.rpartition("/")[2] or group.place or "/"
    notes = [f"{len(group.items)} {group.noun}"] if len(group.items) > 1 else []
    notes.append(folder)
    sizes = [item.last.size for item in group.items if item.last.size is not None]
    notes += [size_text(sum(sizes))] if sizes else []
    for number, word in ((gone, "gone"), (changed, "changed")):
        if number:
            notes.append(word if number == len(states) else f"{number} {word}")
    listed = [f"{item.uri}{f' ({item.remark})' if item.remark else ''}" for item in group.items[:_LISTED]]
    if len(group.items) > _LISTED:
        listed.append(f"and {len(group.items) - _LISTED} more")
    return _Box(kind, group.name, " · ".join(notes), "\n".join(listed))


def _edge(path: str, kind: str = "") -> str:
    """Return an edge."""
    return f'<path class="edge{kind}" d="{path}" marker-end="url(#head)"/>'


def _foot(grid: Grid, box: _Box, place: tuple[int, float]) -> tuple[float, float]:
    """Return the middle of the lower rim of a box."""
    return place[0] + box.width / 2, place[1] + grid.box


def _path_back(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Return the path of an edge that runs against the others: below the boxes."""
    low = max(start[1], end[1]) + 26
    return f"M{start[0]:.1f} {start[1]:.1f}C{start[0]:.1f} {low:.1f} {end[0]:.1f} {low:.1f} {end[0]:.1f} {end[1]:.1f}"


def _drawn(grid: Grid, box: _Box, place: tuple[int, float]) -> str:
    """Return a box with its two lines; files have round ends."""
    left, top = place
    round_by = 7 if box.kind.startswith("task") else grid.box // 2
    return (
        f'<g class="{box.kind}"><title>{escape(clean(box.detail))}</title>'
        f'<rect class="box" x="{left}" y="{top:.1f}" width="{box.width}" height="{grid.box}" rx="{round_by}"/>'
        f'<text x="{left + 14}" y="{top + 19:.1f}">{escape(_cut(box.name))}</text>'
        f'<text class="soft" x="{left + 14}" y="{top + 35:.1f}">{escape(_cut(box.note))}</text></g>'
    )


def _cut(text: str) -> str:
    """Return a text in the letters that a box shows: the end of a long one tells files apart, so it stays."""
    plain = " ".join(clean(text).split())
    return plain if len(plain) <= _LETTERS else f"{plain[: _LETTERS - 13]}…{plain[-12:]}"
