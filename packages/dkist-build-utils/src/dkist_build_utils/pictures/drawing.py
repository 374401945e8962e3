"""What the pictures of graphs share: columns of boxes, arrows between them, and the frame of the SVG file."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Grid:
    """Where boxes lie that are placed in layers and rows, in pixels."""

    row: int
    """Height of a row."""
    box: int
    """Height of a box."""
    gap: int
    """Width between two layers."""
    margin: int
    """Left of the first layer, and right of the last one."""
    top: int
    """Height of the title."""
    columns: tuple[tuple[int, int], ...] = ()
    """Where each layer begins and ends."""

    def with_columns(self, widths: Mapping[str, int], layers: Mapping[str, int]) -> Grid:
        """Return a grid whose layers are as wide as their widest box."""
        columns: list[tuple[int, int]] = []
        for layer in range(max(layers.values()) + 1):
            left = columns[-1][1] + self.gap if columns else self.margin
            columns.append((left, left + max(width for name, width in widths.items() if layers[name] == layer)))
        return Grid(self.row, self.box, self.gap, self.margin, self.top, tuple(columns))

    def top_of(self, row: float) -> float:
        """Return where the boxes of a row begin."""
        return self.top + row * self.row

    def height(self, rows: Sequence[float]) -> int:
        """Return the height of a picture with boxes and edges in these rows."""
        return self.top + round(max(rows) * self.row) + self.box + self.margin

    def path(self, way: Sequence[tuple[int, float]], source_width: int) -> str:
        """Return the path of an edge: a curve between layers, a straight line through those that it passes."""
        heights = [self.top_of(row) + self.box / 2 for _, row in way]
        path = f"M{self.columns[way[0][0]][0] + source_width} {heights[0]:.1f}"
        for place, (layer, _) in enumerate(way[1:], start=1):
            left, right = self.columns[layer]
            y, below, middle = heights[place - 1], heights[place], left - self.gap // 2
            path += f"H{left - self.gap}C{middle} {y:.1f} {middle} {below:.1f} {left} {below:.1f}"
            if layer != way[-1][0]:
                path += f"H{right}"
        return path


def svg_page(size: tuple[int, int], style: str, title: str, subtitle: tuple[str, int], parts: Sequence[str]) -> str:
    """Return an SVG file with a title, a subtitle (its text and its height) and the parts of the drawing."""
    width, height = size
    text, y = subtitle
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" aria-labelledby="title">',
            f'<title id="title">{escape(title)}</title>',
            f"<style>{style}</style>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path class="head" d="M0 0 8 4 0 8Z"/></marker></defs>',
            f'<rect class="page" width="{width}" height="{height}"/>',
            f'<text class="title" x="20" y="30">{escape(title)}</text>',
            f'<text class="soft" x="20" y="{y}">{escape(text)}</text>',
            *parts,
            "</svg>",
        ]
    )
