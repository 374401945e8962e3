"""Records of runs, for the commands that read them."""

from __future__ import annotations

from tests.dkist_build_utils.records.conftest import records

__all__ = ["records"]
