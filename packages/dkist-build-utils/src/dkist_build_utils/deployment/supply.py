"""Whether the index can give workers what a release needs."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from dkist_build_utils.errors import Fault, FaultsError, UvError
from dkist_build_utils.programs import run_uv
from dkist_build_utils.release import LockRequest, Release, resolved_lock

_LOGGER = logging.getLogger(__name__)


def check_supply(release: Release) -> None:
    """Fetch everything that a release locks, verify every hash, and throw it away.

    A release with its wheels needs nothing.

    The index is the one that uv is set up for on this machine. The files themselves must be fetched: an index may serve
    files that do not have the hashes it states. What was fetched stays in uv's cache, where environments are made from
    it. A release without locks is only resolved.

    Parameters
    ----------
    release : Release
        The release.

    Raises
    ------
    FaultsError
        The index cannot give all of it; uv's own message for each lock.
    """
    manifest = release.manifest
    if manifest.wheels:  # all of them, as the check of the release proved
        return
    faults = []
    for name in manifest.locks:
        _LOGGER.info("fetching the wheels that %s locks", name)
        try:
            _fetch(release, name)
        except UvError as error:
            faults.append(Fault(name, None, f"the index cannot satisfy it; publish the code first: {error}"))
    if not manifest.locks:
        extras = {task.pip_extras for workflow in manifest.workflows for task in workflow.tasks}
        for request in (LockRequest(manifest.release, each) for each in sorted(extras)):
            _LOGGER.info("resolving %s %s", request.name, request.release.version)
            try:
                resolved_lock(request, ())
            except UvError as error:
                faults.append(Fault(request.name, None, f"the index cannot give it; publish the code first: {error}"))
    if faults:
        raise FaultsError(manifest.release.folder_name, faults)


def _fetch(release: Release, name: str) -> None:
    workers = release.manifest.release
    options = ["--require-hashes", "--only-binary", ":all:", "--python-version", workers.python]
    if workers.python_platform is not None:
        options += ["--python-platform", workers.python_platform]
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
        lock = Path(folder, name)
        lock.write_bytes(release.files[name])
        run_uv("pip", "sync", *options, "--python", sys.executable, "--target", Path(folder, "target"), lock)
