"""Where the harness keeps what is slow to make and the same for every checkout."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Return (and make) a folder of the user's cache: ``$XDG_CACHE_HOME/dkist-harness/<name>``."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "dkist-harness" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
