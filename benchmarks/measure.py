"""Take comparisons, print them as a table and write them as JSON: what the benchmarks share.

A benchmark is a script of this folder that calls `report` with a function that returns `Comparison` rows::

    def compare() -> list[Comparison]: ...

    if __name__ == "__main__":
        report(compare)

Then ``python -m benchmarks.NAME`` prints the table, and ``--json FILE`` also writes it. The exit status is 1 if a ratio
is above its limit. Absolute times on a shared machine say little, so each number is compared with one that was taken in
the same minute: `interleaved` takes turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Comparison:
    """One measured quantity and its reference."""

    name: str
    """What was measured, short enough for a table: ``parse a DAG file of 12 tasks``."""
    ours: float
    """Our value, in `unit`; the lower, the better."""
    reference: float | None
    """The value of the reference, in `unit`; None if it could not be measured, with the cause in `note`."""
    against: str
    """What the reference is: ``hand-written``, ``bare interpreter``, ``dkist-processing-core 7.5.0``."""
    unit: str = "s"
    """Unit of both values."""
    limit: float | None = None
    """Largest ratio that is promised; None for a row that informs."""
    note: str = ""
    """Facts that help to judge the row, and why a reference is missing."""

    @property
    def ratio(self) -> float | None:
        """Ours divided by the reference."""
        return None if self.reference is None else self.ours / self.reference

    @property
    def is_kept(self) -> bool:
        """Whether the ratio is within its limit. A ratio that could not be measured is not."""
        return self.limit is None or (self.ratio is not None and self.ratio <= self.limit)


def interleaved(actions: Mapping[str, Callable[[], object]], *, rounds: int = 7, warm_up: int = 1) -> dict[str, float]:
    """Time actions in turns, so that other load disturbs all of them alike.

    Parameters
    ----------
    actions
        The actions, by name.
    rounds
        How many times to time each action.
    warm_up
        How many rounds to run first without counting them.

    Returns
    -------
    dict[str, float]
        Median wall-clock seconds by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(warm_up + rounds):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def table(comparisons: Iterable[Comparison]) -> str:
    """Render comparisons as aligned text."""
    rows = [("measured", "ours", "reference", "against", "ratio", "limit", "")]
    rows += [
        (
            row.name,
            f"{row.ours:.4g} {row.unit}",
            "-" if row.reference is None else f"{row.reference:.4g} {row.unit}",
            row.against,
            "-" if row.ratio is None else f"{row.ratio:.3g}",
            "" if row.limit is None else f"{row.limit:g} {'ok' if row.is_kept else 'BROKEN'}",
            row.note,
        )
        for row in comparisons
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_json(comparisons: Iterable[Comparison]) -> str:
    """Render comparisons as a JSON list of objects, one for each."""
    keys = ("name", "ours", "reference", "against", "unit", "ratio", "limit", "note")
    return json.dumps([{key: getattr(row, key) for key in keys} for row in comparisons], indent=2) + "\n"


def report(compare: Callable[[], list[Comparison]]) -> None:
    """Run one benchmark from the command line. Exit with 1 if a ratio is above its limit."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    arguments = parser.parse_args()
    comparisons = compare()
    print(table(comparisons))
    if arguments.json:
        arguments.json.write_text(as_json(comparisons))
    sys.exit(0 if all(row.is_kept for row in comparisons) else 1)
