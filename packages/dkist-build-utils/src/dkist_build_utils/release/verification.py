"""What can be said of a release after every check, in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils.errors import BuildError, SignatureError, counted
from dkist_build_utils.programs import is_ssh_keygen_installed
from dkist_build_utils.release.content import Release, release_from_folder
from dkist_build_utils.release.lock import locked_pins
from dkist_build_utils.release.manifest import MANIFEST_NAME
from dkist_build_utils.release.sbom import SBOM_NAME
from dkist_build_utils.release.signature import SIGNATURE_NAME, Signature, Signers, required_signers, verified_signature
from dkist_build_utils.release.tarball import is_archive_of, release_from_archive

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Verification:
    """A release that passed every check."""

    release: Release
    """The release."""
    signature: Signature | None
    """Whose signature it has; None if it has none and none was asked for."""
    statements: tuple[str, ...]
    """What was checked and what was found, a line each."""


def verify(
    path: str | os.PathLike[str],
    *,
    require_signature: str | os.PathLike[str] | None = None,
    revoked_keys: str | os.PathLike[str] | None = None,
) -> Verification:
    """Check an archive or a release folder, its signature included, and say in words what was checked.

    Parameters
    ----------
    path : path
        The archive or the folder, for example that of a deployed version.
    require_signature : path, optional
        A file of allowed signers, on top of the site's (``DKIST_REQUIRED_SIGNERS``). With either, there must be a
        signature by one of them. Without, it is only checked that a signature fits the manifest.
    revoked_keys : path, optional
        A file of revoked keys; by default the site's (``DKIST_REVOKED_KEYS``).

    Returns
    -------
    Verification
        What was checked.

    Raises
    ------
    SignatureError
        The signature is missing although it is required, does not fit, or is by nobody who may sign.
    BuildError
        There is no such release, or it is not as its manifest says.
    """
    source = Path(path)
    signers = required_signers(require_signature, revoked_keys)
    if source.is_dir():
        release, packing = release_from_folder(source), "a folder, in which Python's __pycache__ is passed over"
    else:
        release = release_from_archive(source)
        is_ours = is_archive_of(source, release)
        packing = "an archive as 'dkist-build archive' writes it" if is_ours else "an archive packed by another program"
        if signers and not is_ours:
            raise _repacked(source)
    signature = None
    if release.signature is not None or signers:
        signature = required_signature(release, signers)
    statements = (f"{release.manifest.release.folder_name}: {packing}", *_statements(release, signature, signers))
    return Verification(release, signature, statements)


def signed_release(path: Path, signers: Sequence[Signers]) -> Release:
    """Return the release in an archive; if there are signers to satisfy, only one that they signed.

    Then the archive must be, byte for byte, what `archive` writes, so that nothing beside the signed files is in it.
    Without signers, a signature that is there must still fit the manifest.
    """
    release = release_from_archive(path)
    if release.signature is not None and not signers and is_ssh_keygen_installed():
        required_signature(release, ())
    if signers:
        required_signature(release, signers)
        if not is_archive_of(path, release):
            raise _repacked(path)
    return release


def required_signature(release: Release, signers: Sequence[Signers]) -> Signature:
    """Return the signature of a release; SignatureError if it is missing or does not satisfy each list of signers."""
    name = release.manifest.release.folder_name
    if release.signature is None:
        raise SignatureError(
            f"{name} is not signed, and a signature is required; sign it with 'dkist-build archive FOLDER --sign-with "
            "KEY'"
        )
    try:
        return verified_signature(release.files[MANIFEST_NAME], release.signature, signers)
    except SignatureError as error:
        raise SignatureError(f"{name}: {error}") from error


def _repacked(path: Path) -> BuildError:
    return BuildError(
        f"{path} is not, byte for byte, what 'dkist-build archive' writes: it was changed, or packed by another "
        "program; unpack it and pack the folder with 'dkist-build archive', which keeps its signature"
    )


def _statements(release: Release, signature: Signature | None, signers: Sequence[Signers]) -> Iterator[str]:
    """Yield what is true of a release that passed."""
    manifest = release.manifest
    yield (
        f"files: {counted(len(manifest.files), 'file')}, each with the SHA-256 that {MANIFEST_NAME} names; none is "
        "missing, none was added"
    )
    tasks = sum(len(workflow.tasks) for workflow in manifest.workflows)
    yield f"workflows: {counted(len(manifest.workflows), 'workflow')} with {counted(tasks, 'task')}, each in its file"
    if manifest.locks:
        pins = {
            (name, pin.version) for lock in manifest.locks for name, pin in locked_pins(release.files[lock]).items()
        }
        yield (
            f"locks: {counted(len(manifest.locks), 'lock')} of {counted(len(pins), 'distribution')}, each pinned to "
            "one version with SHA-256 hashes"
        )
    else:
        yield "locks: none; workers install what the requirements resolve to on that day, without hashes"
    if manifest.wheels:
        where = "" if release.has_wheels else "; they are not in this folder, so only their names were checked"
        yield (
            f"wheels: {counted(len(manifest.wheels), 'wheel')}, all that the locks name, each with the SHA-256 that "
            f"{MANIFEST_NAME} names{where}"
        )
    if SBOM_NAME in release.files:
        yield f"bill of materials: {SBOM_NAME} lists what the locks hold"
    yield f"pools: {', '.join(release.pools) or 'none'}, as the tasks need them"
    if signature is None:
        yield f"signature: none; {SIGNATURE_NAME} is missing"
    elif not signers:
        yield (
            f"signature: it fits {MANIFEST_NAME} and is by {signature.key}; who owns the key was not checked "
            "(--require-signature)"
        )
    else:
        for name, each in zip(signature.signers, signers, strict=True):
            yield f"signature: by {name} with {signature.key}, allowed by '{each.allowed}'"
