"""A release folder as one file: written the same everywhere, read with distrust."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from dkist_build_utils.errors import BuildError
from dkist_build_utils.release.content import Release, release_from_folder, verified_release
from dkist_build_utils.release.folder import replace_file
from dkist_build_utils.release.identity import is_plain_name
from dkist_build_utils.release.manifest import MANIFEST_NAME
from dkist_build_utils.release.signature import SIGNATURE_NAME, signed

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

MAXIMUM_BYTES = 256 * 1024**2
"""What an archive may unpack to: several times what a thousand workflows of fifty tasks do."""
MAXIMUM_FILES = 10_000
"""Files that an archive may hold."""

_LARGEST_STORED_BLOCK = 0xFFFF
_TOO_MUCH = f"{{}} unpacks to more than {MAXIMUM_BYTES // 1024**2} MiB"


def archive(folder: str | os.PathLike[str], *, sign_with: str | os.PathLike[str] | None = None) -> Path:
    """Pack a release folder into ``<folder>.tar.gz`` beside it.

    The same folder gives the same bytes on any machine: names sorted, no owner, no time, and the tar stored rather than
    compressed, because compressors differ between builds of zlib. It appears as a whole or not at all.

    Parameters
    ----------
    folder : path
        The release folder.
    sign_with : path, optional
        A private key of OpenSSH. Its signature is written into the folder first, in place of one that is there; an
        Ed25519 key gives the same bytes each time. Without a key, a signature that is there is packed as it is.

    Returns
    -------
    Path
        The archive.

    Raises
    ------
    BuildError
        The folder is not a release folder, or is not as its manifest says; or the key cannot sign.
    """
    source = Path(folder).absolute()
    release = release_from_folder(source)
    if source.name != release.manifest.release.folder_name:
        raise BuildError(f"{source} is the release {release.manifest.release.folder_name}; give the folder that name")
    if sign_with is not None:
        signature = signed(release.files[MANIFEST_NAME], Path(sign_with))
        replace_file(source / SIGNATURE_NAME, signature)
        release = replace(release, files={**release.files, SIGNATURE_NAME: signature})
    target = source.with_name(f"{source.name}.tar.gz")
    replace_file(target, archive_bytes(release))
    return target


def archive_bytes(release: Release) -> bytes:
    """Return the bytes of a release's archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        top = tarfile.TarInfo(release.manifest.release.folder_name)
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(top)
        for name, content in sorted(release.files.items()):
            member = tarfile.TarInfo(f"{release.manifest.release.folder_name}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return b"".join(_stored_gzip(buffer.getvalue()))


def release_from_archive(path: Path) -> Release:
    """Return the content of an archive; nothing is written.

    Parameters
    ----------
    path : Path
        The archive.

    Raises
    ------
    BuildError
        It is not the archive of one release folder (it holds something that is not a regular file, has a name that is
        not plain, or is too large), or it is not as its manifest says.
    """
    if not path.is_file():
        raise BuildError(f"{path}: there is no such file")  # to open a pipe would wait for its writer
    try:
        with path.open("rb") as file, gzip.GzipFile(fileobj=file) as plain:
            stream = _Bounded(cast("IO[bytes]", plain), path)
            folder, files = _members(path, stream)
            while stream.read(_LARGEST_STORED_BLOCK):  # to its end, where gzip's checksum is
                pass
    except gzip.BadGzipFile as error:  # it is an OSError as well
        raise BuildError(f"{path} is not a whole archive: {error}") from error
    except OSError as error:
        raise BuildError(f"{path} cannot be read: {error.strerror or error}") from error
    except (tarfile.TarError, zlib.error, EOFError, ValueError, RecursionError) as error:
        raise BuildError(f"{path} is not a whole archive: {error}") from error
    release = verified_release(str(path), files)
    if folder != release.manifest.release.folder_name:
        raise BuildError(
            f"{path}: its folder is {folder!r}, its manifest says {release.manifest.release.folder_name!r}"
        )
    return release


class _Bounded(io.RawIOBase):
    """A stream that raises an error if more is read from it than an archive may hold."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path
        self._left = MAXIMUM_BYTES

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or size > self._left:
            size = self._left + 1
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BuildError(_TOO_MUCH.format(self._path))
        return data


def _members(path: Path, stream: _Bounded) -> tuple[str, dict[str, bytes]]:
    """Return the name of the one folder in an archive, and its files."""
    files: dict[str, bytes] = {}
    folders: set[str] = set()
    left = MAXIMUM_BYTES
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            folder, slash, name = member.name.partition("/")
            folders.add(folder)
            if len(folders) > 1 or not is_plain_name(folder) or (slash and not is_plain_name(name)):
                raise BuildError(f"{path}: {member.name[:300]!r} is not a plain name in the one folder of a release")
            if member.isdir() and not slash:
                continue
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse() or not slash:
                raise BuildError(f"{path}: {member.name!r} is not a regular file; a release holds no others")
            left -= member.size
            if left < 0:
                raise BuildError(_TOO_MUCH.format(path))
            if name in files:
                raise BuildError(f"{path} holds {member.name!r} twice")
            if len(files) == MAXIMUM_FILES:
                raise BuildError(f"{path} holds more than {MAXIMUM_FILES} files")
            content = tar.extractfile(member)
            files[name] = b"" if content is None else content.read()
            if len(files[name]) != member.size:
                raise BuildError(f"{path} ends in the middle of {member.name!r}")
    if len(folders) != 1:
        raise BuildError(f"{path} is empty; it must hold one release folder")
    return folders.pop(), files


def _stored_gzip(data: bytes) -> Iterator[bytes]:
    """Yield a gzip file (RFC 1952) of one member without name or time, in stored blocks of deflate (RFC 1951)."""
    yield b"\x1f\x8b\x08\x00" + struct.pack("<L", 0) + b"\x00\xff"
    for start in range(0, max(len(data), 1), _LARGEST_STORED_BLOCK):
        block = data[start : start + _LARGEST_STORED_BLOCK]
        is_last = start + _LARGEST_STORED_BLOCK >= len(data)
        yield struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF)
        yield block
    yield struct.pack("<LL", zlib.crc32(data), len(data) & 0xFFFFFFFF)
