"""The signature of a release: whose key signed its manifest, and through it every other file."""

from __future__ import annotations

import base64
import binascii
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils.errors import BuildError, SignatureError
from dkist_build_utils.programs import own_words, run_ssh_keygen

if TYPE_CHECKING:
    from collections.abc import Iterable

SIGNATURE_NAME = "manifest.json.sig"
"""The one file of a release that its manifest does not list."""
NAMESPACE = "dkist-release@1"
"""What a signature is for: one that was made for a file, an e-mail or a commit is none of a release."""
SIGNERS_VARIABLE = "DKIST_REQUIRED_SIGNERS"
"""The setting of a site by which every release must be signed."""
REVOKED_VARIABLE = "DKIST_REVOKED_KEYS"
"""The setting of a site that names its file of revoked keys."""

_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_COLUMNS = 70
_KEY = re.compile(r"signature with (?P<key>\S+ key \S+)")


@dataclass(frozen=True)
class Signers:
    """Who may sign releases.

    Raises
    ------
    BuildError
        A file is not there. What is asked for is never skipped.
    """

    allowed: Path
    """Keys, with their owners and validity, in OpenSSH's format of allowed signers."""
    revoked: Path | None = None
    """Revoked keys: one public key a line, or OpenSSH's revocation list."""

    def __post_init__(self) -> None:
        for what, path in (("allowed signers", self.allowed), ("revoked keys", self.revoked)):
            if path is not None and not path.is_file():
                raise BuildError(f"the file of {what} '{path}' is missing, so no signature can be checked")


@dataclass(frozen=True)
class Signature:
    """A signature that fits the manifest."""

    key: str
    """Kind and fingerprint of the key: ``ED25519 key SHA256:...``."""
    signers: tuple[str, ...] = ()
    """The owner of the key according to each file of allowed signers that was asked for."""


def required_signers(
    allowed: str | os.PathLike[str] | None = None, revoked: str | os.PathLike[str] | None = None
) -> tuple[Signers, ...]:
    """Return every list of signers that a signature must satisfy.

    Parameters
    ----------
    allowed : path, optional
        A file of allowed signers. It comes on top of the site's (``DKIST_REQUIRED_SIGNERS``), never in its place.
    revoked : path, optional
        A file of revoked keys; by default the site's (``DKIST_REVOKED_KEYS``).

    Raises
    ------
    BuildError
        A file that is named is not there, or revoked keys are named without allowed signers.
    """
    site, own = os.environ.get(SIGNERS_VARIABLE), None if allowed is None else os.fspath(allowed)
    revoked_keys = revoked if revoked is not None else os.environ.get(REVOKED_VARIABLE)
    files = list(dict.fromkeys(file for file in (site, own) if file is not None))
    if revoked is not None and not files:
        raise BuildError("revoked keys are named without allowed signers; name them too, with --require-signature")
    return tuple(Signers(Path(file), None if revoked_keys is None else Path(revoked_keys)) for file in files)


def signed(manifest: bytes, key: Path) -> bytes:
    """Return the signature of a manifest.

    An Ed25519 key gives the same bytes each time.

    Parameters
    ----------
    manifest : bytes
        The bytes of ``manifest.json``.
    key : Path
        A private key of OpenSSH, or a public key whose private half the SSH agent has.

    Raises
    ------
    BuildError
        There is no such key, it cannot be used, or ssh-keygen is not installed.
    """
    if not key.is_file():
        raise BuildError(f"the key '{key}' is not there; make one with 'ssh-keygen -t ed25519 -f {key}'")
    done = run_ssh_keygen("sign", "-f", key.absolute(), "-n", NAMESPACE, standard_input=manifest)
    if done.returncode:
        raise BuildError(f"the key '{key}' cannot sign: {own_words(done)}")
    return _armored(_blob(done.stdout))


def verified_signature(manifest: bytes, signature: bytes, signers: Iterable[Signers] = ()) -> Signature:
    """Return whose signature of a manifest it is.

    Parameters
    ----------
    manifest : bytes
        The bytes of ``manifest.json``.
    signature : bytes
        The bytes of ``manifest.json.sig``.
    signers : iterable of Signers, optional
        Who may have signed; the signature must satisfy each. By default, it is only checked that it fits the manifest.

    Raises
    ------
    SignatureError
        It does not fit the manifest, is for another purpose, or its key is not allowed, expired or revoked.
    BuildError
        ssh-keygen is not installed.
    """
    if signature != _armored(_blob(signature)):
        raise SignatureError(f"{SIGNATURE_NAME} is not as ssh-keygen writes signatures; it was changed")
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
        file = Path(folder, SIGNATURE_NAME)
        file.write_bytes(signature)
        key = _key(manifest, file)
        return Signature(key, tuple(_signer(manifest, file, key, each) for each in signers))


def _key(manifest: bytes, file: Path) -> str:
    """Return the key of a signature that fits the manifest, whoever owns it."""
    done = run_ssh_keygen("check-novalidate", "-n", NAMESPACE, "-s", file, standard_input=manifest)
    found = _KEY.search(done.stdout.decode(errors="replace"))
    if done.returncode == 0 and found is not None:
        return found["key"]
    words = own_words(done)
    if "namespace" in words:
        raise SignatureError(f"the signature was not made for a release: its namespace is not {NAMESPACE!r}")
    raise SignatureError(
        "the signature is not one of this manifest: the release was changed after it was signed, or this is the "
        f"signature of another release ({words})"
    )


def _signer(manifest: bytes, file: Path, key: str, signers: Signers) -> str:
    """Return who owns the key of a signature; SignatureError if the key does not count."""
    allowed = signers.allowed.absolute()
    found = run_ssh_keygen("find-principals", "-s", file, "-f", allowed, standard_input=manifest)
    names = map(str.strip, re.split(r"[,\n]", found.stdout.decode(errors="replace")))  # a name may have blanks
    name = next((each for each in names if each and not each.startswith("!")), None)
    if found.returncode or name is None:
        raise SignatureError(f"the signature is by {key}, which '{signers.allowed}' does not allow: {own_words(found)}")
    question = ("verify", "-f", allowed, "-I", name, "-n", NAMESPACE, "-s", file)
    done = run_ssh_keygen(*question, standard_input=manifest)
    if done.returncode:
        raise SignatureError(
            f"the signature is by {name} with {key}, which '{signers.allowed}' does not allow for this: "
            f"{own_words(done)}"
        )
    if signers.revoked is not None:
        done = run_ssh_keygen(*question, "-r", signers.revoked.absolute(), standard_input=manifest)
        if done.returncode:
            raise SignatureError(f"the signature is by {name} with {key}, which '{signers.revoked}' revokes")
    return name


def _blob(signature: bytes) -> bytes:
    """Return what the armour of a signature holds; SignatureError if it is none."""
    try:
        begin, *lines, end = signature.decode("ascii").splitlines()
        if (begin, end) != (_BEGIN, _END):
            raise ValueError("not the armour of a signature")
        return base64.b64decode("".join(lines), validate=True)
    except (ValueError, binascii.Error):
        raise SignatureError(f"{SIGNATURE_NAME} is not a signature of ssh-keygen") from None


def _armored(blob: bytes) -> bytes:
    """Return a signature as text: there is one way, so that no byte of it can change unseen."""
    text = base64.b64encode(blob).decode()
    lines = [text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS)]
    return "\n".join([_BEGIN, *lines, _END, ""]).encode()
