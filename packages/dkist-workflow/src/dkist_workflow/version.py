"""The version of workflows that name none themselves."""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVELOPMENT_VERSION = "dev"
"""The version of workflows that are not built for a release."""

_VERSION: ContextVar[str | None] = ContextVar("dkist_workflow.build_version", default=None)


@contextmanager
def build_version(version: str | None) -> Iterator[None]:
    """Give a version to the workflows that are made in this block and name none.

    A release uses it while it imports the modules of a package. It goes before the variable ``BUILD_VERSION``, which
    it does not touch.

    Parameters
    ----------
    version : str or None
        The version; None leaves it to ``BUILD_VERSION``.

    Examples
    --------
    >>> with build_version("1.0.0"):
    ...     default_version()
    '1.0.0'
    """
    token = _VERSION.set(version)
    try:
        yield
    finally:
        _VERSION.reset(token)


def default_version() -> str:
    """Return the version of `build_version`, else of the variable ``BUILD_VERSION``, else `DEVELOPMENT_VERSION`."""
    return _VERSION.get() or os.environ.get("BUILD_VERSION") or DEVELOPMENT_VERSION
