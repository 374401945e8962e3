"""Whether a real Airflow loads the files: asked once for the same files and the same Airflow."""

from __future__ import annotations

import hashlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils.checks.cache import Cache, digest_of, files_digest, stable_environment, tree_files
from dkist_build_utils.programs import load_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGES = ("airflow", "dkist_airflow_node", "dkist_build_utils", "dkist_task", "dkist_workflow")
"""The packages that decide about a file; all others are known by the names and versions that are installed."""


def airflow_errors(files: Mapping[str, bytes]) -> dict[str, str]:
    """Load DAG files in Airflow and return its errors by file name; no error is remembered, see `Cache`."""
    cache = Cache.of_this_user("airflow")
    sources = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    state = files_digest(_files_of_packages(), sys.path)
    subject = digest_of([sources, state, sys.path, sorted(stable_environment(os.environ).items())])
    if cache.read(subject) is not None:
        return {}
    errors = load_errors(files)
    if not errors and files_digest(_files_of_packages(), sys.path) == state:
        cache.write(subject, "loaded")
    return errors


def _files_of_packages() -> list[str]:
    """Return the files of the packages that decide, and the records of all that is installed."""
    specs = [find_spec(name) for name in _PACKAGES]
    folders = {Path(place) for spec in specs if spec is not None for place in spec.submodule_search_locations or ()}
    records = {str(record) for entry in sys.path for record in Path(entry).glob("*.dist-info/RECORD")}
    return sorted(records | {file for folder in folders for file in tree_files(folder) if file.endswith(".py")})
