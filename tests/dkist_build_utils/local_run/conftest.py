"""A small instrument to run on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dkist_build_utils.local_run.local import Local


@pytest.fixture
def local(tmp_path: Path) -> Local:
    """Return a package whose tasks keep a tally."""
    local = Local(tmp_path)
    local.write()
    return local
