"""What lets a process with an environment of its own count in the coverage that CI measures."""

from __future__ import annotations

import os


def coverage_settings() -> dict[str, str]:
    """Return the variables that a test adds to a child's own environment; none where coverage is not measured."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
