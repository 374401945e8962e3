"""A workflow drawn as a picture file: SVG that needs nothing else and is readable on dark and on light pages."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter
from html import escape
from typing import TYPE_CHECKING

from dkist_build_utils.errors import counted
from dkist_build_utils.pictures.drawing import Grid, svg_page
from dkist_build_utils.pictures.graph import marks
from dkist_build_utils.pictures.layout import layered

if TYPE_CHECKING:
    from dkist_workflow import Node, NodeDifference, Workflow

_GRID = Grid(row=58, box=42, gap=70, margin=20, top=64)
_LETTERS = 44
"""Letters that a box shows of a name or of its marks; all of them are in its tooltip."""

_STYLE = """
svg { --page: #ffffff; --ink: #1c2430; --soft: #5b6675; --edge: #97a3b3; --box: #eef3f9; --rim: #7d96b5;
  --added: #1a7f37; --replaced: #9a6700; --removed: #c22f3d; font-family: system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --page: #14181f; --ink: #e6ebf2; --soft: #9ba7b7; --edge: #5f6d80; --box: #232c39; --rim: #6482a8;
    --added: #4ac26b; --replaced: #d4a72c; --removed: #ff7b82; }
}
.page { fill: var(--page); } text { fill: var(--ink); font-size: 13px; } .title { font-size: 18px; font-weight: 600; }
.soft { fill: var(--soft); font-size: 11px; } .box { fill: var(--box); stroke: var(--rim); }
.edge { fill: none; stroke: var(--edge); stroke-width: 1.5; } .head { fill: var(--edge); }
.added .box { stroke: var(--added); stroke-width: 2.5; }
.replaced .box, .changed .box { stroke: var(--replaced); stroke-width: 2.5; }
.removed .box { fill: none; stroke: var(--removed); stroke-width: 1.5; stroke-dasharray: 5 4; }
.removed text { fill: var(--soft); text-decoration: line-through; }
.edge.removed { stroke: var(--removed); stroke-dasharray: 5 4; } .edge.added { stroke: var(--added); }
"""


@dataclass(frozen=True)
class _Box:
    """A task in the picture."""

    name: str
    """Its name."""
    marks: tuple[str, ...]
    """What is special about it."""
    kind: str
    """How it differs from the base: ``same``, ``added``, ``replaced``, ``changed`` or ``removed``."""
    detail: str
    """All that is known of it, for the tooltip."""

    @property
    def width(self) -> int:
        """The width of the box in pixels, from the mean width of a letter in either size."""
        return max(90, 24 + round(8 * len(_cut(self.name))), 24 + round(6.4 * len(_cut(" · ".join(self.marks)))))


def svg(workflow: Workflow) -> str:
    """Return a workflow as an SVG picture: tasks from left to right, with queue, extras and settings.

    The picture of a variant shows how it differs from its base: added, replaced and changed tasks have a coloured rim,
    removed ones and their edges are dashed.

    Parameters
    ----------
    workflow : Workflow
        The workflow, with at least one task.
    """
    boxes, edges = _boxes(workflow)
    layout = layered({name: [above for above, below in edges if below == name] for name in boxes})
    grid = _GRID.with_columns({name: box.width for name, box in boxes.items()}, layout.layers)
    rows = [*layout.rows.values(), *(row for way in layout.ways.values() for _, row in way)]
    title = f"{workflow.workflow_name} {workflow.workflow_version}"
    subtitle = counted(len(workflow.nodes), "task")
    if workflow.base is not None:
        subtitle += f" · variant of {workflow.base.workflow_name}"
    width = max(grid.columns[-1][1], grid.margin + 10 * len(title)) + grid.margin
    parts = [
        *(_edge(grid.path(layout.ways[edge], boxes[edge[0]].width), kind) for edge, kind in edges.items()),
        *(_task(grid, box, layout.layers[name], layout.rows[name]) for name, box in boxes.items()),
    ]
    return svg_page((width, grid.height(rows)), _STYLE, title, (subtitle, 48), parts)


def _boxes(workflow: Workflow) -> tuple[dict[str, _Box], dict[tuple[str, str], str]]:
    """Return the tasks by name, each after its upstreams, and the edges with how each differs from the base."""
    nodes = {node.name: node for node in workflow.nodes}
    edges = {(above, node.name): "same" for node in workflow.nodes for above in node.upstream_names}
    differences = workflow.differences()
    removed = {each.name: each.before for each in differences if each.before is not None and each.after is None}
    if workflow.base is not None:
        # A name that was removed and given to another task is that task's; the base's edges of it are left out.
        reused = removed.keys() & nodes.keys()
        names = {node.name: node.name for node in workflow.base.nodes if node.name not in reused}
        names |= {each.before.name: each.name for each in differences if each.before and each.after}
        base = {
            (names[above], names[node.name])
            for node in workflow.base.nodes
            for above in node.upstream_names
            if names.keys() >= {above, node.name}
        }
        edges = {edge: "same" if edge in base else "added" for edge in edges} | {
            edge: "removed" for edge in sorted(base - edges.keys()) if (nodes | removed).keys() >= set(edge)
        }
    changes = {each.name: each for each in differences}
    boxes = {name: _box(node, changes.get(name)) for name, node in (removed | nodes).items()}
    above: dict[str, list[str]] = {name: [] for name in boxes}
    for one, other in edges:
        above[other].append(one)
    return {name: boxes[name] for name in TopologicalSorter(above).static_order()}, edges


def _box(node: Node, change: NodeDifference | None) -> _Box:
    """Return the box of a task, given how it differs from the base."""
    noted = list(marks(node))
    kind = "same" if change is None else change.kind.value
    detail = [node.name, node.entry_point, *noted, *(() if change is None else change.changes)]
    if change is not None:
        is_renamed = change.before is not None and change.after is not None and change.before.name != node.name
        noted.insert(0, f"replaces {change.before.name}" if is_renamed and change.before is not None else kind)
    return _Box(node.name, tuple(noted), kind, "\n".join(detail))


def _edge(path: str, kind: str) -> str:
    """Return an edge."""
    return f'<path class="edge {kind}" d="{path}" marker-end="url(#head)"/>'


def _task(grid: Grid, box: _Box, layer: int, row: float) -> str:
    """Return a box with name and marks."""
    left, top = grid.columns[layer][0], grid.top_of(row)
    noted = _cut(" · ".join(box.marks))
    name_y = top + (18 if noted else 26)
    return (
        f'<g class="{box.kind}"><title>{escape(box.detail)}</title>'
        f'<rect class="box" x="{left}" y="{top:.1f}" width="{box.width}" height="{grid.box}" rx="7"/>'
        f'<text x="{left + 12}" y="{name_y:.1f}">{escape(_cut(box.name))}</text>'
        + (f'<text class="soft" x="{left + 12}" y="{top + 34:.1f}">{escape(noted)}</text>' if noted else "")
        + "</g>"
    )


def _cut(text: str) -> str:
    """Return a text in the letters that a box shows."""
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
