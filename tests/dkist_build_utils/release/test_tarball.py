"""Archives: the same bytes each time when written, distrusted when read."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, archive, find_release
from tests.dkist_build_utils.release.conftest import member, write_archive


def test_archive_is_the_same_bytes_each_time(folder: Path) -> None:
    """Times, owners, modes and the order of the folder's files are not in an archive; any gunzip reads it."""
    path = archive(folder)
    assert path.name == f"{folder.name}.tar.gz"
    before = path.read_bytes()
    for file in folder.iterdir():
        os.utime(file, (1, 1))
        file.chmod(0o600)
    assert archive(folder).read_bytes() == before
    listing = subprocess.run(["tar", "tzf", path], capture_output=True, text=True, check=True).stdout.split()
    assert listing == [f"{folder.name}/", *sorted(f"{folder.name}/{file.name}" for file in folder.iterdir())]
    assert [each.name for each in folder.parent.iterdir() if each.name.startswith(".")] == []


def test_archive_does_not_depend_on_the_compressor(folder: Path) -> None:
    """The bytes are stored, so that every build of zlib, and every Python, gives the same."""
    plain = gzip.decompress(archive(folder).read_bytes())
    assert archive(folder).stat().st_size == len(plain) + 18 + 5 * -(-len(plain) // 0xFFFF)


def test_archive_reads_back(folder: Path, tmp_path: Path) -> None:
    """What was packed is read back; so is an archive that another program packed from the same folder."""
    assert find_release(archive(folder)).files == {file.name: file.read_bytes() for file in folder.iterdir()}
    other = tmp_path / "other.tar.gz"
    subprocess.run(["tar", "czf", other, "-C", folder.parent, folder.name], check=True)
    assert find_release(other).files == find_release(folder).files


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (member("/etc/passwd"), "not a plain name"),
        (member("{folder}/../../escape.py"), "not a plain name"),
        (member("{folder}/sub/deep.py"), "not a plain name"),
        (member("{folder}/a\nb.py"), "not a plain name"),
        (member("{folder}/.hidden.py"), "not a plain name"),
        (member("{folder}/caf\u00e9.py"), "not a plain name"),
        (member("elsewhere/a.py"), "not a plain name"),
        (member("{folder}/a.py", tarfile.SYMTYPE, "/etc/passwd"), "not a regular file"),
        (member("{folder}/a.py", tarfile.LNKTYPE, "{folder}/pools.json"), "not a regular file"),
        (member("{folder}/a.py", tarfile.FIFOTYPE), "not a regular file"),
        (member("{folder}/a.py", tarfile.CHRTYPE), "not a regular file"),
        (member("{folder}/a.py", tarfile.BLKTYPE), "not a regular file"),
        (member("{folder}/a.py", tarfile.DIRTYPE), "not a regular file"),
        (member("{folder}", tarfile.SYMTYPE, "/tmp"), "not a regular file"),
        (member("{folder}/pools.json"), "twice"),
        (member("{folder}/POOLS.json"), "differs from 'pools.json' only in case"),
        (member("{folder}/extra.py"), "the manifest does not list it"),
    ],
    ids=lambda value: f"{value.name!r}-{value.type!r}" if isinstance(value, tarfile.TarInfo) else "",
)
def test_hostile_entry_is_refused(folder: Path, tmp_path: Path, entry: tarfile.TarInfo, message: str) -> None:
    """Whatever would leave the folder, is no plain file or is not in the manifest is refused."""
    entry = member(entry.name.replace("{folder}", folder.name), entry.type, entry.linkname)
    path = write_archive(tmp_path / "hostile.tar.gz", folder, entry)
    with pytest.raises(BuildError, match=message):
        find_release(path)


def test_sparse_file_is_refused(folder: Path, tmp_path: Path) -> None:
    """A file that claims holes is none that we wrote."""
    info = member(f"{folder.name}/a.py")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**50)}
    with pytest.raises(BuildError, match=r"hostile\.tar\.gz"):
        find_release(write_archive(tmp_path / "hostile.tar.gz", folder, info))


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE], ids=["file", "header"])
def test_bomb_is_refused_without_being_unpacked(folder: Path, tmp_path: Path, kind: bytes) -> None:
    """A few megabytes that unpack to one and a half gigabytes are refused within one gigabyte of memory."""
    path = tmp_path / "bomb.tar.gz"
    # A gzip file may be several, one after the other.
    zeros = gzip.compress(bytes(2**24))
    path.write_bytes(gzip.compress(member(f"{folder.name}/a.py", kind, size=3 * 2**29).tobuf()) + zeros * 96)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); "
        "from dkist_build_utils import find_release; find_release(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert "BuildError" in done.stderr
    assert "unpacks to more than 256 MiB" in done.stderr


def test_archive_that_ends_early_is_refused(folder: Path, tmp_path: Path) -> None:
    """An archive that ends anywhere before its end is refused in one line that says so."""
    path = tmp_path / "short.tar.gz"
    whole = archive(folder).read_bytes()
    for keep in (1, 10, 700, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:keep])
        with pytest.raises(BuildError, match=r"short\.tar\.gz (is not a whole archive|ends in the middle)") as caught:
            find_release(path)
        assert "\n" not in str(caught.value)


def test_empty_archive_is_refused(tmp_path: Path) -> None:
    """A file without a byte is refused as what it is."""
    (tmp_path / "empty.tar.gz").touch()
    with pytest.raises(BuildError, match=r"empty\.tar\.gz"):
        find_release(tmp_path / "empty.tar.gz")


def test_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Neither text nor a missing file gives a traceback."""
    (tmp_path / "a.tar.gz").write_text("hello")
    with pytest.raises(BuildError, match=r"a\.tar\.gz is not a whole archive"):
        find_release(tmp_path / "a.tar.gz")
    os.mkfifo(tmp_path / "pipe.tar.gz")
    with pytest.raises(BuildError, match="there is no such release folder or archive"):
        find_release(tmp_path / "pipe.tar.gz")
    with pytest.raises(BuildError, match="there is no such release folder or archive"):
        find_release(tmp_path / "b.tar.gz")
