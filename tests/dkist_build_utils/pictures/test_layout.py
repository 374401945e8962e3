"""The places of nodes in a layered picture."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

from dkist_build_utils.pictures.layout import Layout, layered


def crossings(layout: Layout) -> int:
    """Return how often edges cross."""
    pieces = [piece for way in layout.ways.values() for piece in pairwise(way)]
    pairs = ((one, other) for one, other in combinations(pieces, 2) if one[0][0] == other[0][0])
    return sum((one[0][1] - other[0][1]) * (one[1][1] - other[1][1]) < 0 for one, other in pairs)


def test_every_edge_runs_forward_and_nothing_overlaps() -> None:
    """In graphs of any form each edge passes layer after layer, and points of one layer are a row apart."""
    generator = random.Random(7)
    for count in (1, 2, 9, 60):
        names = [f"n{number}" for number in range(count)]
        upstreams = {name: generator.sample(names[:n], min(n, generator.randrange(4))) for n, name in enumerate(names)}
        layout = layered(upstreams)
        for way in layout.ways.values():
            assert [layer for layer, _ in way] == list(range(way[0][0], way[-1][0] + 1))
        points = {(layout.layers[name], layout.rows[name]) for name in names}
        points |= {point for way in layout.ways.values() for point in way[1:-1]}
        assert len(points) == count + sum(len(way) - 2 for way in layout.ways.values())
        for one, other in pairwise(sorted(points)):
            assert one[0] != other[0] or other[1] - one[1] > 0.999
        assert min(row for _, row in points) == 0


def test_parallel_chains_do_not_cross() -> None:
    """Chains that are named in another order at each step are drawn side by side, and a straight one is straight."""
    upstreams: dict[str, list[str]] = {f"0{chain}": [] for chain in "abcd"}
    for step, order in enumerate(("dcba", "bdac", "cabd"), start=1):
        upstreams |= {f"{step}{chain}": [f"{step - 1}{chain}"] for chain in order}
    layout = layered(upstreams)
    assert crossings(layout) == 0
    assert len({round(layout.rows[f"{step}a"], 6) for step in range(4)}) == 1
