"""The command line ``dkist-build``."""

from __future__ import annotations

from dkist_build_utils.commands.cli import main

__all__ = ["main"]
