"""Whether the index can give workers what a release needs."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from dkist_build_utils.errors import Fault, FaultsError
from dkist_build_utils.programs import UvError, run_uv
from dkist_build_utils.release import LockRequest, Release, resolved_lock

_LOGGER = logging.getLogger(__name__)


def check_supply(release: Release) -> None:
    """
    Fetch everything that a release locks, verify every hash, and drop it.

    The index is the one that uv is set up for on this machine. Nothing less would do: an index tells hashes that the
    files it then serves need not have. What was fetched stays in uv's cache, from which environments are made. A
    release without locks is resolved only.

    Raises
    ------
    FaultsError
        The index cannot give all of it, in uv's own words for each lock.
    """
    manifest = release.manifest
    faults = []
    for name in manifest.locks:
        _LOGGER.info("fetching what %s locks", name)
        try:
            _fetch(release, name)
        except UvError as error:
            faults.append(Fault(name, None, f"the index cannot satisfy it; publish the code first: {error}"))
    if not manifest.locks:
        extras = {tuple(task["pip_extras"]) for workflow in manifest.workflows for task in workflow["tasks"]}
        for each in sorted(extras):
            request = LockRequest(
                manifest.distribution, manifest.version, each, manifest.python, manifest.python_platform
            )
            _LOGGER.info("resolving %s %s", request.name, request.version)
            try:
                resolved_lock(request, ())
            except UvError as error:
                faults.append(Fault(request.name, None, f"the index cannot give it; publish the code first: {error}"))
    if faults:
        raise FaultsError(manifest.folder_name, faults)


def _fetch(release: Release, name: str) -> None:
    manifest = release.manifest
    options = ["--require-hashes", "--only-binary", ":all:", "--python-version", manifest.python]
    if manifest.python_platform is not None:
        options += ["--python-platform", manifest.python_platform]
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
        lock = Path(folder, name)
        lock.write_bytes(release.files[name])
        run_uv("pip", "sync", *options, "--python", sys.executable, "--target", Path(folder, "target"), lock)
