"""A release with its wheels: all that the locks name, each once, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, archive, export, find_release, verify
from harness.packages import Package
from tests.dkist_build_utils.conftest import Install, instrument
from tests.dkist_build_utils.keys import Keys


@pytest.fixture
def released(install: Install, offline: Path, tmp_path: Path) -> Path:
    """Return a release folder with its wheels."""
    package = instrument()
    package.write_wheel(offline)
    return export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0", wheelhouse=True)


def test_release_holds_each_wheel_once(released: Path, offline: Path) -> None:
    """The two locks share their wheels; a wheel is the file that the index has."""
    wheels = {path.name: path.read_bytes() for path in (released / "wheels").iterdir()}
    assert wheels == {path.name: path.read_bytes() for path in offline.iterdir()}
    assert len(find_release(released).manifest.locks) == 2
    assert find_release(released).manifest.wheels.keys() == wheels.keys()
    assert [path.name for path in released.parent.iterdir()] == [released.name]


def test_release_in_a_folder_named_from_here(
    offline: Path, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative folder means what it means to the caller, for the release and for the places of wheels."""
    package = instrument()
    package.write_wheel(offline)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_FIND_LINKS", os.path.relpath(offline))
    folder = export(f"{install(package)}.workflows", "out", version="1.0.0", wheelhouse=True)
    assert {path.name for path in (tmp_path / folder / "wheels").iterdir()} == {path.name for path in offline.iterdir()}


def test_release_is_the_same_bytes_each_time(released: Path) -> None:
    """Wheels that are there are kept; those that are not are fetched again, by the hashes of the locks."""
    before = archive(released).read_bytes()
    workflows = f"{released.name.partition('_')[0].replace('-', '_')}.workflows"
    times = {path: path.stat().st_mtime_ns for path in released.rglob("*")}
    export(workflows, released.parent, version="1.0.0", wheelhouse=True)
    assert {path: path.stat().st_mtime_ns for path in released.rglob("*")} == times
    assert archive(released).read_bytes() == before
    shutil.rmtree(released / "wheels")
    export(workflows, released.parent, version="1.0.0", wheelhouse=True)
    assert archive(released).read_bytes() == before


def test_archive_with_wheels_reads_back(released: Path, tmp_path: Path, keys: Keys) -> None:
    """An archive that `tar` packed can be read, but does not count as the one that was signed."""
    packed = archive(released, sign_with=keys.private)
    statements = verify(packed, require_signature=keys.allowed).statements
    assert any(line.startswith("wheels: 2 wheels, all that the locks name") for line in statements)
    subprocess.run(["tar", "xzf", packed, "-C", tmp_path], check=True)
    unpacked = tmp_path / released.name
    assert {path.name for path in (unpacked / "wheels").iterdir()} == find_release(packed).manifest.wheels.keys()
    other = tmp_path / "other.tar.gz"
    subprocess.run(["tar", "czf", other, "-C", tmp_path, released.name], check=True)
    assert find_release(other).manifest == find_release(packed).manifest
    with pytest.raises(BuildError, match="is not, byte for byte, what 'dkist-build archive' writes"):
        verify(other, require_signature=keys.allowed)
    shutil.rmtree(unpacked / "wheels")
    assert any("they are not in this folder" in line for line in verify(unpacked).statements)
    with pytest.raises(BuildError, match="its folder 'wheels' is missing"):
        archive(unpacked)


def test_every_byte_of_a_wheel_counts(released: Path) -> None:
    """A wheel with one flipped byte is refused by name, in the folder and in an archive that was packed again."""
    wheel = next((released / "wheels").glob("dkist_task*"))
    whole = wheel.read_bytes()
    for place in (0, 10, len(whole) // 2, len(whole) - 1):
        wheel.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BuildError, match=f"{wheel.name}: the SHA-256 of this wheel is not the one in the manifest"):
            archive(released)
        packed = released.with_name("changed.tar.gz")
        subprocess.run(["tar", "czf", packed, "-C", released.parent, released.name], check=True)
        with pytest.raises(BuildError, match=f"{wheel.name}: the SHA-256 of this wheel is not the one in the manifest"):
            find_release(packed)


def test_missing_and_added_wheels_are_refused(released: Path) -> None:
    """The folder of wheels holds what the manifest lists and nothing else."""
    wheels = released / "wheels"
    Package("stranger").write_wheel(wheels)
    with pytest.raises(BuildError, match=r"stranger-1\.0\.0-py3-none-any\.whl: the manifest does not list this wheel"):
        find_release(released)
    (wheels / "stranger-1.0.0-py3-none-any.whl").rename(wheels / "notes.txt")
    with pytest.raises(BuildError, match=r"'notes\.txt' is not a wheel"):
        find_release(released)
    (wheels / "notes.txt").unlink()
    Path(wheels / "stranger-1.0.0-py3-none-any.whl").symlink_to("/etc/passwd")
    with pytest.raises(BuildError, match=r"'stranger-1\.0\.0-py3-none-any\.whl' is not a wheel"):
        find_release(released)
    (wheels / "stranger-1.0.0-py3-none-any.whl").unlink()
    next(wheels.glob("dkist_task*")).unlink()
    with pytest.raises(BuildError, match="the manifest lists this wheel and it is missing"):
        find_release(released)


def test_wheel_that_nobody_has_is_named(install: Install, offline: Path, tmp_path: Path) -> None:
    """Without locks there is nothing to hold; a wheel that cannot be fetched is named."""
    package = instrument()
    wheel = package.write_wheel(offline)
    name = f"{install(package)}.workflows"
    with pytest.raises(BuildError, match="names no wheels"):
        export(name, tmp_path / "out", version="1.0.0", lock=False, wheelhouse=True)
    folder = export(name, tmp_path / "out", version="1.0.0")
    wheel.write_bytes(wheel.read_bytes() + b" ")
    with pytest.raises(BuildError, match=package.name):
        export(name, tmp_path / "out", version="1.0.0", wheelhouse=True)
    assert not (folder / "wheels").exists()
