"""A new package is written whole, or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dkist_build_utils import BuildError
from dkist_build_utils.instrument_package import PackageName, create_package, files_of

NAME = PackageName("visp-l0")


def test_an_empty_folder_becomes_the_package(tmp_path: Path) -> None:
    """A folder that is empty, or not there, holds every file afterwards, and nothing else is left beside it."""
    (tmp_path / NAME.distribution).mkdir()
    folder = create_package(NAME, tmp_path)
    found = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == files_of(NAME)
    assert list(tmp_path.iterdir()) == [folder]


def test_others_may_read_it(tmp_path: Path) -> None:
    """The folder has the permissions that the umask gives to a folder."""
    (tmp_path / "ordinary").mkdir()
    folder = create_package(NAME, tmp_path)
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


def test_what_is_there_stays(tmp_path: Path) -> None:
    """A folder with a file in it, a file and a link are refused, and not touched."""
    target = tmp_path / NAME.distribution
    target.mkdir()
    (target / ".hidden").write_text("mine")
    with pytest.raises(BuildError, match="is there and not empty; remove it, or choose another name"):
        create_package(NAME, tmp_path)
    assert [path.name for path in target.iterdir()] == [".hidden"]
    target.rename(tmp_path / "elsewhere")
    target.symlink_to("nowhere")
    with pytest.raises(BuildError, match="is not a folder"):
        create_package(NAME, tmp_path)
    assert target.readlink() == Path("nowhere")
    target.unlink()
    target.write_text("mine")
    with pytest.raises(BuildError, match="is not a folder"):
        create_package(NAME, tmp_path)
    assert target.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", NAME.distribution]


def test_a_parent_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The message says which folder is missing."""
    with pytest.raises(BuildError, match=f"there is no folder {tmp_path}/deep"):
        create_package(NAME, tmp_path / "deep")


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full half way, no folder is left: neither the package's nor the hidden one."""
    write = Path.write_text

    def fail(path: Path, text: str, encoding: str) -> int:
        if path.name == "test_tasks.py":
            raise OSError(28, os.strerror(28), str(path))
        return write(path, text, encoding=encoding)

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="No space left"):
        create_package(NAME, tmp_path)
    assert list(tmp_path.iterdir()) == []
