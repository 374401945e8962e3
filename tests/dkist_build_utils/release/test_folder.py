"""Folders that appear and are replaced as a whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dkist_build_utils import BuildError
from dkist_build_utils.release import folder as folder_module
from dkist_build_utils.release.folder import read_folder, replace_file, replace_folder, staged_folder

PROGRAM = """
import sys
from pathlib import Path
from dkist_build_utils.release.folder import replace_folder

print("started", flush=True)
for turn in range(100_000):
    replace_folder(Path(sys.argv[1]), {f"{number}.txt": str(turn).encode() for number in range(20)})
"""


def seen_by_a_reader(folder: Path) -> set[bytes] | None:
    """Return the distinct contents of a folder's twenty files, through one handle, as a reader has them."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        names = os.listdir(handle)  # of the very folder that was opened, whatever its name is by now
        texts = set()
        for name in names:
            with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=handle), "rb") as file:
                texts.add(file.read())
    except FileNotFoundError:  # the folder was replaced, and is being removed, while it was read
        return None
    finally:
        os.close(handle)
    return texts if len(names) == 20 else None


def test_killed_writer_leaves_a_whole_folder(tmp_path: Path) -> None:
    """While a folder is replaced again and again it is always there, and whenever the writer is killed it is whole."""
    target = tmp_path / "release"
    for turn in range(5):
        with subprocess.Popen([sys.executable, "-c", PROGRAM, str(target)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            deadline = time.monotonic() + 0.3 + turn * 0.05
            while not target.exists():
                time.sleep(0.001)
            while time.monotonic() < deadline:
                seen = seen_by_a_reader(target)  # raises where the folder is not there at all
                assert seen is None or len(seen) == 1
            writer.send_signal(signal.SIGKILL)
        seen = seen_by_a_reader(target)
        assert seen is not None
        assert len(seen) == 1
    replace_folder(target, {"a": b"1"})
    assert [path.name for path in tmp_path.iterdir()] == ["release"]
    assert [path.name for path in target.iterdir()] == ["a"]


def test_folder_is_replaced_where_folders_cannot_be_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without the exchange of two folders, two renames do it and nothing is left behind."""
    monkeypatch.setattr(folder_module, "_exchange", lambda *_: False)
    target = tmp_path / "release"
    for content in (b"1", b"2"):
        replace_folder(target, {"a": content})
        assert (target / "a").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_failed_writing_leaves_what_was_there(tmp_path: Path) -> None:
    """A file that cannot be written leaves the old folder and no other."""
    target = tmp_path / "release"
    replace_folder(target, {"a": b"1"})
    with pytest.raises(OSError, match="File name too long"):
        replace_folder(target, {"a": b"2", "b" * 300: b""})
    assert (target / "a").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_writer_that_lives_keeps_its_folder(tmp_path: Path) -> None:
    """What one process is writing is no leftover to another."""
    with staged_folder(tmp_path, "release", {"a": b"1"}) as staged:
        replace_folder(tmp_path / "release", {"a": b"2"})
        assert (staged / "a").read_bytes() == b"1"
    assert not staged.exists()


def test_file_in_a_folder_that_is_missing(tmp_path: Path) -> None:
    """The error names the file that was asked for, not the one that is written first."""
    with pytest.raises(BuildError, match=r"nowhere/picture\.svg cannot be written: No such file or directory; make"):
        replace_file(tmp_path / "nowhere" / "picture.svg", b"")


def test_only_folders_are_passed_over(tmp_path: Path) -> None:
    """A file with the name of Python's folder, and a link in the place of the wheels, are no part of a release."""
    (tmp_path / "release" / "__pycache__").mkdir(parents=True)
    (tmp_path / "release" / "wheels").mkdir()
    (tmp_path / "release" / "a").write_bytes(b"1")
    assert read_folder(tmp_path / "release") == {"a": b"1"}
    (tmp_path / "release" / "__pycache__").rename(tmp_path / "aside")
    (tmp_path / "release" / "__pycache__").write_bytes(b"2")
    assert read_folder(tmp_path / "release").keys() == {"a", "__pycache__"}
    (tmp_path / "release" / "wheels").rmdir()
    (tmp_path / "release" / "wheels").symlink_to(tmp_path / "aside")
    with pytest.raises(BuildError, match="'wheels' is not a regular file"):
        read_folder(tmp_path / "release")
