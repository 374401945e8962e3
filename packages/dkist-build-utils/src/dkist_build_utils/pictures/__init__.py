"""Pictures for people: the graph of a workflow and the timeline of a run."""

from __future__ import annotations

from dkist_build_utils.pictures.drawing import Grid, svg_page
from dkist_build_utils.pictures.graph import mermaid, named_workflows, tree
from dkist_build_utils.pictures.graph_svg import svg
from dkist_build_utils.pictures.layout import Layout, layered, without_cycles
from dkist_build_utils.pictures.timeline import render_timeline

__all__ = [
    "Grid",
    "Layout",
    "layered",
    "mermaid",
    "named_workflows",
    "render_timeline",
    "svg",
    "svg_page",
    "tree",
    "without_cycles",
]
