"""Archives: the same bytes each time when written, distrusted when read."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, archive, export, find_release
from harness.packages import Package
from tests.dkist_build_utils.conftest import instrument

Install = Callable[[Package], str]


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


def test_folder_that_was_changed_is_not_packed(folder: Path) -> None:
    """A file that is not as the manifest says is a fault; so is one that it does not list."""
    (folder / "pools.json").write_text("{}")
    (folder / "notes.txt").write_text("")
    with pytest.raises(BuildError, match=r"(?s)3 faults.*notes\.txt: the manifest does not list.*pools\.json: its SHA"):
        archive(folder)
    assert not folder.with_name(f"{folder.name}.tar.gz").exists()


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
    "content", [b"", b"[]", b"{}", b'{"schema": 2}', b'{"schema": 1}', b"[" * 100_000, b'"\\ud800"', b"\xff\x00"]
)
def test_manifest_that_is_none_is_refused(folder: Path, tmp_path: Path, content: bytes) -> None:
    """What is not a manifest of this schema is refused in one line."""
    with pytest.raises(BuildError, match=r"^manifest\.json(:| is not a manifest| was made by a newer)") as caught:
        find_release(write_archive(tmp_path / "a.tar.gz", folder, manifest__json=content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", "../../1.0.0"),
        ("distribution", None),
        ("files", ["a"]),
        ("files", {"a.py": 3}),
        ("workflows", [{"dag_id": "a"}]),
        ("workflows", []),
        ("workflows", 7),
        ("locks", {"requirements.txt": []}),
        ("made_with", []),
        ("python", "--index-url=http://127.0.0.1/"),
        ("python_platform", "--index-url=http://127.0.0.1/"),
    ],
)
def test_manifest_that_lies_is_refused(folder: Path, tmp_path: Path, key: str, value: object) -> None:
    """A manifest whose parts do not fit each other, or are of other types, is refused without a traceback."""
    manifest = json.loads((folder / "manifest.json").read_text()) | {key: value}
    path = write_archive(tmp_path / "a.tar.gz", folder, manifest__json=json.dumps(manifest).encode())
    with pytest.raises(BuildError, match=r"manifest|plain name|missing"):
        find_release(path)


@pytest.mark.parametrize("key", ["name", "entry_point", "queue", "pip_extras", "upstreams"])
def test_name_that_is_more_than_a_name_is_refused(folder: Path, tmp_path: Path, key: str) -> None:
    """No name reaches a terminal, a command or a file of requirements as anything else."""
    manifest = json.loads((folder / "manifest.json").read_text())
    task = manifest["workflows"][0]["tasks"][0]
    bad = "a]\n--index-url http://127.0.0.1/\x1b[2J"
    task[key] = [bad] if isinstance(task[key], list) else bad
    path = write_archive(tmp_path / "a.tar.gz", folder, manifest__json=json.dumps(manifest).encode())
    with pytest.raises(BuildError, match="is not a name") as caught:
        find_release(path)
    assert "\x1b" not in str(caught.value)


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


@pytest.mark.parametrize("keep", [0, 1, 10, 700, 5000])
def test_truncated_archive_is_refused(folder: Path, tmp_path: Path, keep: int) -> None:
    """An archive that ends anywhere before its end is refused in one line."""
    path = tmp_path / "short.tar.gz"
    path.write_bytes(archive(folder).read_bytes()[:keep])
    with pytest.raises(BuildError, match=r"short\.tar\.gz"):
        find_release(path)


def test_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Neither text nor a missing file gives a traceback."""
    (tmp_path / "a.tar.gz").write_text("hello")
    with pytest.raises(BuildError, match=r"a\.tar\.gz cannot be read"):
        find_release(tmp_path / "a.tar.gz")
    os.mkfifo(tmp_path / "pipe.tar.gz")
    with pytest.raises(BuildError, match="there is no such release folder or archive"):
        find_release(tmp_path / "pipe.tar.gz")
    with pytest.raises(BuildError, match="there is no such release folder or archive"):
        find_release(tmp_path / "b.tar.gz")
