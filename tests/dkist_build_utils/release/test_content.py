"""A release is as its manifest says, or refused."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, FaultsError, archive, find_release
from dkist_build_utils.release import release_from_folder
from tests.dkist_build_utils.release.conftest import write_archive


def test_folder_that_was_changed_is_not_packed(folder: Path) -> None:
    """A file that is not as the manifest says is a fault; so is one that it does not list."""
    (folder / "pools.json").write_text("{}")
    (folder / "notes.txt").write_text("")
    with pytest.raises(BuildError, match=r"(?s)3 faults.*notes\.txt: the manifest does not list.*pools\.json: its SHA"):
        archive(folder)
    assert not folder.with_name(f"{folder.name}.tar.gz").exists()


def test_missing_file_is_refused(folder: Path, tmp_path: Path) -> None:
    """A file that the manifest lists must be there; so must the manifest."""
    with pytest.raises(BuildError, match=r"pools\.json: the manifest lists it and it is missing"):
        find_release(write_archive(tmp_path / "a.tar.gz", folder, pools__json=None))
    with pytest.raises(BuildError, match=r"manifest\.json is missing"):
        find_release(write_archive(tmp_path / "b.tar.gz", folder, manifest__json=None))


def test_changed_file_is_refused(folder: Path, tmp_path: Path) -> None:
    """A file with another digest than the manifest's is refused."""
    with pytest.raises(BuildError, match=r"pools\.json: its SHA-256 is not the one in the manifest"):
        find_release(write_archive(tmp_path / "a.tar.gz", folder, pools__json=b"{}"))


@pytest.mark.parametrize(
    "line",
    [
        b"--index-url http://127.0.0.1/simple",
        b"-r other.txt",
        b"a @ file:///tmp/a.whl --hash=sha256:" + b"0" * 64,
        b"a>=1 --hash=sha256:" + b"0" * 64,
        b"a==1",
        b"a==1 --hash=md5:0",
        b"\xff",
    ],
)
def test_lock_that_is_no_lock_is_refused(folder: Path, tmp_path: Path, line: bytes) -> None:
    """A lock with an option, a file, an address or an open requirement never reaches a worker."""
    manifest = json.loads((folder / "manifest.json").read_text())
    lock = f"{manifest['distribution']}==1.0.0 --hash=sha256:{'0' * 64}\n".encode() + line + b"\n"
    manifest["locks"] = {"requirements.txt": []}
    manifest["files"]["requirements.txt"] = sha256(lock).hexdigest()
    path = write_archive(
        tmp_path / "a.tar.gz", folder, manifest__json=json.dumps(manifest).encode(), requirements__txt=lock
    )
    with pytest.raises(BuildError, match=r"requirements\.txt: .*(not a pinned|not pinned|has no SHA-256)"):
        find_release(path)


def test_lock_that_the_manifest_does_not_list_is_one_fault(folder: Path) -> None:
    """Tasks that need the same lock do not repeat that it is not listed."""
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    for task in manifest["workflows"][0]["tasks"]:
        task["lock"] = "requirements.txt"
    file.write_text(json.dumps(manifest))
    with pytest.raises(FaultsError, match=r"1 fault\n.* lists no lock 'requirements.txt', which is that of 3 tasks$"):
        release_from_folder(folder)


def test_broken_manifest_names_its_folder_and_the_cure(folder: Path) -> None:
    """Who verifies a folder with a broken manifest reads which one, and what to do."""
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(BuildError, match=rf"^{folder}: manifest\.json is not a manifest: .*; take the release from"):
        release_from_folder(folder)
