"""Signatures by the real ssh-keygen: what fits is said with its signer, anything else is refused in one line."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, SignatureError, archive, verify
from dkist_build_utils.release.signature import NAMESPACE, Signers, required_signers, signed, verified_signature
from tests.dkist_build_utils.keys import Keys, make_key

MANIFEST = b'{"schema": 1}\n'


def refusal(manifest: bytes, signature: bytes, *signers: Signers) -> str:
    """Return why a signature is refused."""
    with pytest.raises(SignatureError, match="signature") as caught:
        verified_signature(manifest, signature, signers)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_signature_names_its_signer_and_is_the_same_each_time(keys: Keys) -> None:
    """An Ed25519 key gives the same bytes each time; who signed is known with the fingerprint of the key."""
    signature = signed(MANIFEST, keys.private)
    assert signed(MANIFEST, keys.private) == signature
    found = verified_signature(MANIFEST, signature, [Signers(keys.allowed)])
    assert found.signers == ("builder@example.org",)
    listing = subprocess.run(["ssh-keygen", "-lf", keys.private], capture_output=True, text=True, check=True).stdout
    assert found.key == f"ED25519 key {listing.split()[1]}"


def test_every_flipped_byte_is_refused(keys: Keys) -> None:
    """No byte of the signature and none of the manifest can change unseen."""
    signature = signed(MANIFEST, keys.private)
    for position in range(len(signature)):
        refusal(MANIFEST, flipped(signature, position), Signers(keys.allowed))
    for position in range(len(MANIFEST)):
        assert "was changed after it was signed" in refusal(flipped(MANIFEST, position), signature)
    for changed in (b"", signature[:-1], signature + b"\n", signature.replace(b"\n", b"\r\n"), b"\xff", b"a\nb\nc"):
        refusal(MANIFEST, changed, Signers(keys.allowed))


def flipped(content: bytes, position: int) -> bytes:
    """Return bytes of which one is another."""
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def test_signature_for_another_purpose_is_refused(keys: Keys, tmp_path: Path) -> None:
    """What the same key signed as a file, an e-mail or a commit is no signature of a release."""
    (tmp_path / "m").write_bytes(MANIFEST)
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", keys.private, "-n", "file", tmp_path / "m"], check=True)
    assert f"its namespace is not '{NAMESPACE}'" in refusal(MANIFEST, (tmp_path / "m.sig").read_bytes())


def test_key_that_does_not_count_is_refused(keys: Keys, tmp_path: Path) -> None:
    """A stranger's key, one that has expired, one for another purpose and one that is revoked are refused by name."""
    signature = signed(MANIFEST, keys.private)
    other = make_key(tmp_path / "other")
    cases = {
        "does not allow: No principal matched": f"other@example.org {other.public}",
        "key has expired": f'builder@example.org valid-before="20250101" {keys.public}',
        "key is not yet valid": f'builder@example.org valid-after="20990101" {keys.public}',
        "not permitted for use in signature namespace": f'builder@example.org namespaces="git" {keys.public}',
    }
    for words, line in cases.items():
        (tmp_path / "allowed").write_text(f"{line}\n")
        assert words in refusal(MANIFEST, signature, Signers(tmp_path / "allowed"))
    revoked = tmp_path / "revoked"
    revoked.write_text(f"{other.public}\n")
    assert verified_signature(MANIFEST, signature, [Signers(keys.allowed, revoked)]).signers
    revoked.write_text(f"{other.public}\n{keys.public}\n")
    assert "'" + str(revoked) + "' revokes" in refusal(MANIFEST, signature, Signers(keys.allowed, revoked))


def test_signer_may_have_several_names(keys: Keys, tmp_path: Path) -> None:
    """A line of allowed signers may name several people; the first is named, with its blanks."""
    allowed = tmp_path / "several"
    allowed.write_text(f'a@example.org,b@example.org namespaces="{NAMESPACE}" {keys.public}\n')
    assert verified_signature(MANIFEST, signed(MANIFEST, keys.private), [Signers(allowed)]).signers == (
        "a@example.org",
    )
    allowed.write_text(f'"A B" namespaces="git,{NAMESPACE}" {keys.public}\n')
    assert verified_signature(MANIFEST, signed(MANIFEST, keys.private), [Signers(allowed)]).signers == ("A B",)


def test_setting_of_the_site_is_never_weakened(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option comes on top of the site's setting; a file that is set and missing is an error."""
    own = tmp_path / "own"
    own.write_text("")
    assert required_signers() == ()
    monkeypatch.setenv("DKIST_REQUIRED_SIGNERS", str(keys.allowed))
    assert required_signers(own) == (Signers(keys.allowed), Signers(own))
    assert required_signers(keys.allowed) == (Signers(keys.allowed),)
    monkeypatch.setenv("DKIST_REVOKED_KEYS", str(own))
    assert required_signers() == (Signers(keys.allowed, own),)
    for variable in ("DKIST_REQUIRED_SIGNERS", "DKIST_REVOKED_KEYS"):
        for value in ("", str(tmp_path / "gone"), str(tmp_path)):
            with monkeypatch.context() as patch:
                patch.setenv(variable, value)
                with pytest.raises(BuildError, match="is missing, so no signature can be checked"):
                    required_signers()


def test_revoked_keys_alone_are_refused(keys: Keys) -> None:
    """Revoked keys without allowed signers would check nothing."""
    with pytest.raises(BuildError, match="without allowed signers"):
        required_signers(revoked=keys.private)


def test_key_that_cannot_sign_is_named(keys: Keys, tmp_path: Path) -> None:
    """A key that is missing, is none or that others may read is refused in one line."""
    (tmp_path / "text").write_text("hello")
    open_key = shutil.copy(keys.private, tmp_path / "open")
    Path(open_key).chmod(0o644)
    cases = {"gone": "is not there", "text": "cannot sign", "open": "cannot sign: .*Permissions 0644 .* are too open"}
    for name, words in cases.items():
        with pytest.raises(BuildError, match=rf"{name}' {words}") as caught:
            signed(MANIFEST, tmp_path / name)
        assert "\n" not in str(caught.value)


def test_machine_without_ssh_keygen(keys: Keys, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenSSH is missing, a release can be packed but nothing is signed or verified, and the message says so."""
    archive(folder, sign_with=keys.private)
    monkeypatch.setenv("PATH", "/nonexistent")
    packed = archive(folder)
    for call in (lambda: archive(folder, sign_with=keys.private), lambda: verify(packed)):
        with pytest.raises(BuildError, match=r"'ssh-keygen' is not on this machine.*install OpenSSH"):
            call()
