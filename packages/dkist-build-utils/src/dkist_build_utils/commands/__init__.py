"""The command line ``dkist-build``."""

from __future__ import annotations

from dkist_build_utils.commands.main import main

__all__ = ["main"]
