"""Where the nodes and edges of an acyclic graph go in a picture: layers from left to right, few crossings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SWEEPS = 12
"""Passes over the layers, to and fro; more of them do not change a picture of a hundred tasks."""


@dataclass(frozen=True)
class Layout:
    """The places of nodes and the ways of edges, in layers and in rows."""

    layers: Mapping[str, int]
    """The layer of each node; every edge runs to a later layer."""
    rows: Mapping[str, float]
    """The row of each node; nodes of one layer are at least 1 apart, the first row is 0 or more."""
    ways: Mapping[tuple[str, str], tuple[tuple[int, float], ...]]
    """Layer and row of each point of an edge, its two nodes included."""


def layered(upstreams: Mapping[str, Iterable[str]]) -> Layout:
    """Return the layout of a graph, given the upstreams of each node, every node after its upstreams.

    A node's layer is the length of the longest way to it. Edges over several layers get a point in each, which is
    placed like a node. The order in a layer follows the mean of the neighbours' rows (the barycentre; Sugiyama 1981).

    Examples
    --------
    >>> layout = layered({"a": [], "b": ["a"], "c": ["b", "a"]})
    >>> layout.layers
    {'a': 0, 'b': 1, 'c': 2}
    >>> [layer for layer, _ in layout.ways["a", "c"]]
    [0, 1, 2]
    """
    layers: dict[str, int] = {}
    for name, above in upstreams.items():
        layers[name] = 1 + max((layers[each] for each in above), default=-1)
    ways = {
        (above, name): (above, *(f"{above}\n{name}\n{layer}" for layer in range(layers[above] + 1, layers[name])), name)
        for name, each in upstreams.items()
        for above in each
    }
    columns: dict[int, list[str]] = defaultdict(list)
    for name, layer in layers.items():
        columns[layer].append(name)
    before: dict[str, list[str]] = defaultdict(list)
    after: dict[str, list[str]] = defaultdict(list)
    for way in ways.values():
        for point in way[1:-1]:
            columns[layers[way[0]] + way.index(point)].append(point)
        for one, other in pairwise(way):
            before[other].append(one)
            after[one].append(other)
    ordered = [columns[layer] for layer in sorted(columns)]
    rows = {point: float(row) for column in ordered for row, point in enumerate(column)}
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for column in ordered if forward else reversed(ordered):
            _place(column, before if forward else after, rows)
    both = {point: [*before[point], *after[point]] for point in rows}
    for column in (*ordered, *reversed(ordered)):
        _place(column, both, rows)
    top = min(rows.values(), default=0)
    return Layout(
        layers=layers,
        rows={name: rows[name] - top for name in layers},
        ways={
            edge: tuple((layers[edge[0]] + place, rows[point] - top) for place, point in enumerate(way))
            for edge, way in ways.items()
        },
    )


def without_cycles(
    nodes: Iterable[str], edges: Sequence[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the edges that make no cycle, and those that would, by a search in depth in the order of the nodes.

    Examples
    --------
    >>> without_cycles("abc", [("a", "b"), ("b", "c"), ("c", "a")])
    ([('a', 'b'), ('b', 'c')], [('c', 'a')])
    """
    below: dict[str, list[str]] = defaultdict(list)
    for one, other in edges:
        below[one].append(other)
    back: set[tuple[str, str]] = set()
    on_way: set[str] = set()
    done: set[str] = set()
    for first in nodes:
        if first in done:
            continue
        on_way.add(first)
        pending = [(first, iter(below[first]))]  # without recursion: a chain may be longer than Python's stack is deep
        while pending:
            name, rest = pending[-1]
            for other in rest:
                if other in on_way:
                    back.add((name, other))
                elif other not in done:
                    on_way.add(other)
                    pending.append((other, iter(below[other])))
                    break
            else:
                pending.pop()
                on_way.discard(name)
                done.add(name)
    return [edge for edge in edges if edge not in back], [edge for edge in edges if edge in back]


def _place(column: list[str], neighbours: Mapping[str, Sequence[str]], rows: dict[str, float]) -> None:
    """Order a layer by the means of its neighbours' rows, and put each point as near to its mean as there is room."""

    def wanted(point: str) -> float:
        near = neighbours[point]
        return sum(rows[each] for each in near) / len(near) if near else rows[point]

    goals = {point: wanted(point) for point in column}
    column.sort(key=goals.__getitem__)
    rows.update(zip(column, _apart([goals[point] for point in column]), strict=True))


def _apart(goals: Sequence[float]) -> list[float]:
    """Return ascending rows at least 1 apart with the least squares from ascending goals (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []  # mean of the goals, less a row for each point before; count of points
    for number, goal in enumerate(goals):
        mean, count = goal - number, 1
        while pools and pools[-1][0] > mean:
            other, many = pools.pop()
            mean, count = (mean * count + other * many) / (count + many), count + many
        pools.append((mean, count))
    flat = [mean for mean, count in pools for _ in range(count)]
    return [row + number for number, row in enumerate(flat)]
