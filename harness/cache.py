"""The folder of things that are slow to make and the same for every clone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# The six environments of the example's two versions take 2 GB; each change of a wheel makes new ones.
STORE_SIZE = "3GB"


def cache_folder(name: str) -> Path:
    """Make a folder in the user's cache, ``$XDG_CACHE_HOME/dkist-harness/<name>``, and return it."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "dkist-harness" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def prune_environments(store: Path) -> None:
    """Remove unused environments from a store, the longest unused first, until the rest fits `STORE_SIZE`."""
    store.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dkist_airflow_node", "environments", "prune", "--yes", "--max-size", STORE_SIZE]
    environment = {**os.environ, "DKIST_ENVIRONMENT_STORE": str(store)}
    subprocess.run(command, env=environment, check=True, capture_output=True)
