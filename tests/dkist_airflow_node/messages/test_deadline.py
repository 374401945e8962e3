"""Work that may hang, in a thread with a deadline."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from dkist_airflow_node.messages.deadline import Watched


def count_then(hang_seconds: float) -> Iterator[int]:
    """Yield two numbers, and hang before the third."""
    yield 1
    yield 2
    time.sleep(hang_seconds)
    yield 3


def test_items_arrive_in_their_order() -> None:
    """Work that does not hang is an iterator like any other."""
    assert list(Watched(count_then(0), seconds=60)) == [1, 2, 3]


def test_an_item_that_hangs_is_abandoned() -> None:
    """The items before it have arrived, and the caller goes on at the deadline."""
    got: list[int] = []
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="no result in time"):
        got.extend(Watched(count_then(60), seconds=0.2))
    assert time.monotonic() - started < 30


def test_all_items_together_have_a_deadline() -> None:
    """Items that each come in time do not add up to more than the total."""

    def drip() -> Iterator[None]:
        while True:
            time.sleep(0.05)
            yield None

    started = time.monotonic()
    with pytest.raises(TimeoutError, match="no result in time"):
        list(Watched(drip(), seconds=60, total_seconds=0.3))
    assert time.monotonic() - started < 30


def test_an_error_of_the_work_is_raised() -> None:
    """What the work raises is raised where its items are awaited."""

    def fail() -> Iterator[None]:
        yield None
        raise ValueError("no broker")

    with pytest.raises(ValueError, match="no broker"):
        list(Watched(fail(), seconds=60))
