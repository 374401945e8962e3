"""What this package refuses to do."""

from __future__ import annotations


class ExampleError(Exception):
    """A recipe run cannot be processed; the message says what is wrong, where, and how to mend it."""


class ConfigurationError(ExampleError, ValueError):
    """An environment variable is missing or unusable."""


class ProductMissingError(ExampleError, FileNotFoundError):
    """A product that another task makes is not there."""


class FrameError(ExampleError, ValueError):
    """A file is not the frame it should be, or frames do not fit together."""
