"""The release folder and its archive: what they hold, how they are made, read, verified and compared."""

from __future__ import annotations

from dkist_build_utils.release.builder import export
from dkist_build_utils.release.content import Release, pools_of, release_from_folder
from dkist_build_utils.release.difference import Change, differences, find_release
from dkist_build_utils.release.folder import flush, flush_folder, replace_file, staged_folder
from dkist_build_utils.release.lock import LockRequest, resolved_lock
from dkist_build_utils.release.manifest import MANIFEST_NAME, Manifest, manifest_from_json
from dkist_build_utils.release.tarball import archive, release_from_archive

__all__ = [
    "MANIFEST_NAME",
    "Change",
    "LockRequest",
    "Manifest",
    "Release",
    "archive",
    "differences",
    "export",
    "find_release",
    "flush",
    "flush_folder",
    "manifest_from_json",
    "pools_of",
    "release_from_archive",
    "release_from_folder",
    "replace_file",
    "resolved_lock",
    "staged_folder",
]
