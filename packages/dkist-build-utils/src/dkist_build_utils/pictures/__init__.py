"""Pictures for people: the graph of a workflow and the timeline of a run."""

from __future__ import annotations

from dkist_build_utils.pictures.graph import mermaid, named_workflows, tree
from dkist_build_utils.pictures.graph_svg import svg
from dkist_build_utils.pictures.timeline import render_timeline

__all__ = [
    "mermaid",
    "named_workflows",
    "render_timeline",
    "svg",
    "tree",
]
