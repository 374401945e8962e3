"""Spans of time, as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dkist_airflow_node.commands.duration import duration_from_text, duration_text


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), (" 5 M ", 300), ("1.5h", 5400), ("7d", 604_800), ("0.25d", 21_600)]
)
def test_a_span(text: str, seconds: float) -> None:
    """A number and a unit, in either case."""
    assert duration_from_text(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "5 minutes", "-5m", "1e3s", "\u0665m", "nan s", "5m30s", "9999999999d"])
def test_no_span(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(ValueError, match="is not a span of time; write a number and a unit"):
        duration_from_text(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (59.9, "59s"), (60, "1m 00s"), (3599, "59m 59s"), (7500, "2h 05m"), (90_000, "1d 01h")],
)
def test_text_of_a_span(seconds: float, text: str) -> None:
    """Two units at most."""
    assert duration_text(seconds) == text
