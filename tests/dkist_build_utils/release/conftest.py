"""A release folder without locks, and archives of it with something wrong."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from dkist_build_utils import export
from tests.dkist_build_utils.conftest import Install, instrument


@pytest.fixture
def folder(install: Install, tmp_path: Path) -> Path:
    """Return a release folder without locks."""
    return export(f"{install(instrument())}.workflows", tmp_path / "out", version="1.0.0", lock=False)


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    """Return an entry of a tar archive."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def write_archive(path: Path, folder: Path, *extra: tarfile.TarInfo, **changed: bytes | None) -> Path:
    """Pack a folder with files changed (by name, '.' written '__'; None leaves one out) and entries added."""
    changes = {name.replace("__", "."): content for name, content in changed.items()}
    files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())} | changes
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            if content is not None:
                tar.addfile(member(f"{folder.name}/{name}", size=len(content)), io.BytesIO(content))
        for info in extra:
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    return path
