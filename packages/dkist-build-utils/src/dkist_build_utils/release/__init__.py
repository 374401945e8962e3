"""The release folder and its archive: how they are made, read, checked and compared."""

from __future__ import annotations

from dkist_build_utils.release.builder import export
from dkist_build_utils.release.containerfile import write_containerfiles
from dkist_build_utils.release.content import Release, release_from_folder
from dkist_build_utils.release.difference import Change, differences, find_release
from dkist_build_utils.release.folder import flush, flush_folder, read_file, replace_file, staged_folder
from dkist_build_utils.release.identity import LockRequest, ReleaseIdentity, is_plain_name
from dkist_build_utils.release.lock import Pin, locked_pins, resolved_lock
from dkist_build_utils.release.manifest import MANIFEST_NAME, Manifest
from dkist_build_utils.release.notebook import write_notebook
from dkist_build_utils.release.pools import POOLS_NAME
from dkist_build_utils.release.provenance import this_platform
from dkist_build_utils.release.signature import SIGNATURE_NAME, Signature, Signers, required_signers
from dkist_build_utils.release.tarball import archive, archived_wheels, release_from_archive
from dkist_build_utils.release.verification import Verification, signed_release, verify
from dkist_build_utils.release.wheel_folder import WHEELS_FOLDER, file_digest, wheels_of_lock
from dkist_build_utils.release.workflow_row import TaskRow, WorkflowRow

__all__ = [
    "MANIFEST_NAME",
    "POOLS_NAME",
    "SIGNATURE_NAME",
    "WHEELS_FOLDER",
    "Change",
    "LockRequest",
    "Manifest",
    "Pin",
    "Release",
    "ReleaseIdentity",
    "Signature",
    "Signers",
    "TaskRow",
    "Verification",
    "WorkflowRow",
    "archive",
    "archived_wheels",
    "differences",
    "export",
    "file_digest",
    "find_release",
    "flush",
    "flush_folder",
    "is_plain_name",
    "locked_pins",
    "read_file",
    "release_from_archive",
    "release_from_folder",
    "replace_file",
    "required_signers",
    "resolved_lock",
    "signed_release",
    "staged_folder",
    "this_platform",
    "verify",
    "wheels_of_lock",
    "write_containerfiles",
    "write_notebook",
]
