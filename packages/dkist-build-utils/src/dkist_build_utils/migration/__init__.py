"""Rewriting a client package of dkist-processing-core, so that it is one of ours.

What is rewritten is Python source, requirements and the lines of a pipeline. Whatever is not understood stays as it is
and becomes a `Decision`.
"""

from __future__ import annotations

from dkist_build_utils.migration.decision import Decision
from dkist_build_utils.migration.migration import Migration, migrate

__all__ = ["Decision", "Migration", "migrate"]
