"""A signed release: nothing of it can change, and what is checked is said in words."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, SignatureError, archive, export, verify
from dkist_build_utils.release import SIGNATURE_NAME
from tests.dkist_build_utils.conftest import Install, contents, instrument
from tests.dkist_build_utils.keys import Keys, make_key


@pytest.fixture
def locked(install: Install, offline: Path, tmp_path: Path) -> Path:
    """Return a release folder with two locks."""
    package = instrument()
    package.write_wheel(offline)
    return export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0")


def refusal(path: Path, keys: Keys) -> str:
    """Return why a release is refused where a signature is required."""
    with pytest.raises(BuildError, match=r"\w") as caught:
        verify(path, require_signature=keys.allowed)
    return str(caught.value)


def test_signed_archive_is_the_same_bytes_each_time(locked: Path, keys: Keys) -> None:
    """Signing and packing again gives the same bytes; the signature stays in the folder and with a later archive."""
    packed = archive(locked, sign_with=keys.private).read_bytes()
    assert (locked / SIGNATURE_NAME).is_file()
    assert archive(locked, sign_with=keys.private).read_bytes() == packed
    assert archive(locked).read_bytes() == packed


def test_what_was_checked_is_said_in_words(locked: Path, keys: Keys) -> None:
    """Each kind of check is one line, and the signer is named with the key."""
    path = archive(locked, sign_with=keys.private)
    text = "\n".join(verify(path, require_signature=keys.allowed).statements)
    assert text.startswith(f"{locked.name}: an archive as 'dkist-build archive' writes it\nfiles: ")
    assert "workflows: 1 workflow with 3 tasks, each in its file" in text
    assert "locks: 2 locks of 2 distributions, each pinned to one version with SHA-256 hashes" in text
    assert "bill of materials: sbom.cdx.json lists what the locks hold" in text
    assert "pools: high_memory_pool, as the tasks need them" in text
    assert "signature: by builder@example.org with ED25519 key SHA256:" in text
    unasked = "\n".join(verify(locked).statements)
    assert f"{locked.name}: a folder" in unasked
    assert "who owns the key was not checked (--require-signature)" in unasked
    (locked / SIGNATURE_NAME).unlink()
    assert f"signature: none; {SIGNATURE_NAME} is missing" in verify(locked).statements


def test_export_again_keeps_the_signature_of_the_same_bytes(install: Install, tmp_path: Path, keys: Keys) -> None:
    """A signature stays as long as what it signs does; it goes with the first byte that changes."""
    package = f"{install(instrument())}.workflows"
    folder = export(package, tmp_path / "out", version="1.0.0", lock=False)
    archive(folder, sign_with=keys.private)
    before = contents(folder)
    assert contents(export(package, tmp_path / "out", version="1.0.0", lock=False)) == before
    export(package, tmp_path / "out", version="1.0.0", lock=False, python="3.12")
    assert SIGNATURE_NAME not in contents(folder)


def test_every_file_counts(locked: Path, tmp_path: Path, keys: Keys) -> None:
    """A file that is changed, missing, renamed or added is refused, whichever it is."""
    archive(locked, sign_with=keys.private)
    files = contents(locked)

    def refused(changed: dict[str, bytes]) -> str:
        folder = tmp_path / "tampered" / locked.name
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for name, content in changed.items():
            (folder / name).write_bytes(content)
        return refusal(folder, keys)

    for name, content in files.items():
        for position in {0, len(content) // 3, len(content) // 2, len(content) - 1}:
            flipped = content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
            assert refused(files | {name: flipped})
        rest = {other: text for other, text in files.items() if other != name}
        assert "missing" in refused(rest) or "is not signed" in refused(rest)
        assert refused({**rest, f"x{name}": content})
        assert refused({**files, f"x{name}": content})
    assert verify(locked, require_signature=keys.allowed).signature is not None


def test_every_byte_of_the_archive_counts(locked: Path, tmp_path: Path, keys: Keys) -> None:
    """A flipped bit is refused wherever it is: in gzip's or tar's own bytes, in the padding, in a file."""
    whole = archive(locked, sign_with=keys.private).read_bytes()
    path = tmp_path / "flipped.tar.gz"
    positions = {*range(32), *range(0, len(whole), 97), *range(len(whole) - 32, len(whole))}
    for position in sorted(positions):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ (1 << position % 8)]) + whole[position + 1 :])
        assert refusal(path, keys)
    path.write_bytes(whole + b"\0")
    assert "is not, byte for byte, what 'dkist-build archive' writes" in refusal(path, keys)
    path.write_bytes(gzip.compress(gzip.decompress(whole)))
    assert "is not, byte for byte, what 'dkist-build archive' writes" in refusal(path, keys)
    assert "packed by another program" in verify(path).statements[0]


def test_signature_of_another_release_is_refused(install: Install, tmp_path: Path, keys: Keys) -> None:
    """A signature binds distribution and version: that of another release does not fit."""
    first, other = (
        export(f"{install(instrument())}.workflows", tmp_path / "out", version="1.0.0", lock=False) for _ in range(2)
    )
    archive(other, sign_with=keys.private)
    assert "is not signed, and a signature is required" in refusal(first, keys)
    (first / SIGNATURE_NAME).write_bytes((other / SIGNATURE_NAME).read_bytes())
    assert "this is the signature of another release" in refusal(first, keys)
    with pytest.raises(SignatureError, match="this is the signature of another release"):
        verify(archive(first))


def test_other_signer_is_refused(locked: Path, tmp_path: Path, keys: Keys) -> None:
    """A whole release that a stranger signed is refused with the stranger's key."""
    path = archive(locked, sign_with=make_key(tmp_path / "stranger", "stranger@example.org").private)
    assert "does not allow" in refusal(path, keys)
    assert verify(path).signature is not None
