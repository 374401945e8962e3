"""The errors of this package."""

from __future__ import annotations


class ExampleError(Exception):
    """A recipe run cannot be processed. The message says what is wrong, where, and how to fix it."""


class ConfigurationError(ExampleError, ValueError):
    """An environment variable is missing or unusable."""


class FrameError(ExampleError, ValueError):
    """A file is not the expected frame, or frames do not fit together."""
