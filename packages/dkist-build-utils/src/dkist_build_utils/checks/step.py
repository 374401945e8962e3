"""A step of a check or a build that takes a while."""

from __future__ import annotations

from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator


@contextmanager
def timed_step(logger: logging.Logger, text: str) -> Iterator[None]:
    """Log what begins, and at level DEBUG how long it took: a command shows that on a terminal only."""
    logger.info("%s", text)
    begun = monotonic()
    try:
        yield
    finally:
        logger.debug("%.1f s: %s", monotonic() - begun, text)
