"""A folder that appears, or is replaced, as a whole."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

from dkist_build_utils.errors import BuildError
from dkist_build_utils.release.wheel_folder import WHEELS_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_SUFFIX = ".partial"
_CACHE_FOLDER = "__pycache__"
MAXIMUM_BYTES = 256 * 1024**2
"""What a release may hold, its wheels aside: several times what a thousand workflows of fifty tasks do."""
NO_WHEELS: Mapping[str, Path] = MappingProxyType({})


def read_file(path: Path) -> bytes:
    """Return the bytes of a file that somebody else may have put there.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    OSError
        It is not a regular file, is larger than a whole release may be, or cannot be read. A pipe is never waited for.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if found.st_size > MAXIMUM_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return path.read_bytes()


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by name, without Python's ``__pycache__`` and the folder of wheels.

    Parameters
    ----------
    folder : Path
        The folder.

    Raises
    ------
    BuildError
        The folder holds something that is not a regular file, is too large, or cannot be read.
    """
    files = {}
    try:
        for path in sorted(folder.iterdir()):
            mode = path.lstat().st_mode
            if path.name in {_CACHE_FOLDER, WHEELS_FOLDER} and stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode):
                raise BuildError(f"{folder}: {path.name!r} is not a regular file; a release holds no others")
            files[path.name] = read_file(path)
    except OSError as error:
        raise BuildError(f"{folder} cannot be read: {error.strerror}") from error
    return files


def replace_folder(target: Path, files: Mapping[str, bytes], wheels: Mapping[str, Path] = NO_WHEELS) -> None:
    """Replace a folder by one that holds exactly these files, and copies of these wheels in their folder.

    A reader sees the old folder or the new one. Every local file system of Linux can exchange two folders in one step;
    on others, NFS for example, there is a moment between two renames without either. If the writing is interrupted,
    the old folder stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with staged_folder(target.parent, target.name, files, wheels) as staged:
        if not target.exists():
            staged.rename(target)
        elif not _exchange(staged, target):
            aside = staged.with_name(f"{staged.name}-old{_SUFFIX}")
            target.rename(aside)
            try:
                staged.rename(target)
            except OSError:
                aside.rename(target)
                raise
            shutil.rmtree(aside)


def replace_file(target: Path, content: bytes) -> None:
    """Replace a file by these bytes: a reader sees the old file or the whole new one."""
    with replaced_file(target) as file:
        file.write(content)


@contextmanager
def replaced_file(target: Path) -> Iterator[BinaryIO]:
    """Yield a file to write, which replaces another at the end: a reader sees the old file or the whole new one.

    Raises
    ------
    BuildError
        No file can be made there.
    """
    partial = target.with_name(f".{secrets.token_hex(8)}{_SUFFIX}")
    try:
        opened = partial.open("xb")
    except OSError as error:
        raise BuildError(f"{target} cannot be written: {error.strerror}; make its folder, or name another") from error
    try:
        with opened as file:
            yield file
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def staged_folder(
    parent: Path, name: str, files: Mapping[str, bytes], wheels: Mapping[str, Path] = NO_WHEELS
) -> Iterator[Path]:
    """Write files to a hidden folder in ``parent`` and yield it for renaming; remove it after if it is still there.

    Wheels are copied into their folder in it.

    Folders that killed processes left are removed first.
    """
    remove_leftovers(parent, name)
    staged = parent / f".{name}.{secrets.token_hex(8)}{_SUFFIX}"
    staged.mkdir()
    handle = os.open(staged, os.O_RDONLY)
    try:
        with suppress(OSError):  # NFS locks no folders: what a killed process left there stays
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for file_name, content in files.items():
            with (staged / file_name).open("xb") as file:
                file.write(content)
        if wheels:
            (staged / WHEELS_FOLDER).mkdir()
        for file_name, path in wheels.items():
            shutil.copyfile(path, staged / WHEELS_FOLDER / file_name)
        yield staged
    finally:
        os.close(handle)
        shutil.rmtree(staged, ignore_errors=True)


def remove_leftovers(parent: Path, name: str) -> None:
    """Remove the hidden folders of processes that were killed while they wrote the folder ``name``."""
    for leftover in parent.glob(f".{name}.*{_SUFFIX}"):
        try:
            handle = os.open(leftover, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(leftover, ignore_errors=True)
        except OSError:  # its writer lives
            continue
        finally:
            os.close(handle)


def flush_folder(folder: Path) -> None:
    """Write a folder and its files to the disk, so that a power cut cannot leave half of them."""
    for path in (*folder.iterdir(), folder):
        flush(path)


def flush(path: Path) -> None:
    """Write a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step; return False if the system or the file system cannot."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    status: int = function(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    return status == 0
