"""A release folder as one file: written the same everywhere, read with distrust."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from dkist_build_utils.errors import BuildError
from dkist_build_utils.release.content import Release, release_from_folder, verified_release
from dkist_build_utils.release.folder import MAXIMUM_BYTES, replace_file, replaced_file
from dkist_build_utils.release.identity import is_plain_name
from dkist_build_utils.release.manifest import MANIFEST_NAME
from dkist_build_utils.release.signature import SIGNATURE_NAME, signed
from dkist_build_utils.release.stored_gzip import StoredGzip
from dkist_build_utils.release.wheel_folder import WHEELS_FOLDER, is_wheel_name

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from dkist_build_utils.release.stored_gzip import Sink

MAXIMUM_WHEEL_BYTES = 256 * 1024**3
"""What its wheels may unpack to. They are never held in memory, and nothing is written before all are checked."""
MAXIMUM_FILES = 10_000
"""Files that an archive may hold."""

_BLOCK_BYTES = 2**20
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
    if release.manifest.wheels and not release.has_wheels:
        raise BuildError(f"{source}: its folder '{WHEELS_FOLDER}' is missing; export the release again")
    target = source.with_name(f"{source.name}.tar.gz")
    with replaced_file(target) as file:
        write_archive(release, _opened(release.wheels), file)
    return target


def write_archive(release: Release, wheels: Iterable[tuple[str, int, IO[bytes]]], sink: Sink) -> None:
    """Write the archive of a release.

    Parameters
    ----------
    release : Release
        The release.
    wheels : iterable of tuple
        Name, size and content of each wheel, sorted by name.
    sink : Sink
        What takes the archive's bytes.
    """
    top = release.manifest.release.folder_name
    with (
        StoredGzip(sink) as packed,
        tarfile.open(fileobj=cast("IO[bytes]", packed), mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        tar.addfile(_folder(top))
        for name, content in sorted(release.files.items()):
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        if release.manifest.wheels:
            tar.addfile(_folder(f"{top}/{WHEELS_FOLDER}"))
        for name, size, file in wheels:
            member = tarfile.TarInfo(f"{top}/{WHEELS_FOLDER}/{name}")
            member.size = size
            tar.addfile(member, file)


def _folder(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    return member


def _opened(wheels: Mapping[str, Path]) -> Iterator[tuple[str, int, IO[bytes]]]:
    for name, path in sorted(wheels.items()):
        with path.open("rb") as file:
            yield name, path.stat().st_size, file


def is_archive_of(path: Path, release: Release) -> bool:
    """Return whether a file is, byte for byte, the archive of a release as `archive` writes it."""
    with path.open("rb") as file:
        try:
            write_archive(release, _in_order(archived_wheels(path), release), _Comparison(file))
        except _DifferentError:
            return False
        return not file.read(1)


class _DifferentError(Exception):
    """An archive is not what would be written."""


class _Comparison:
    """Takes what would be written and compares it with what is in a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: bytes, /) -> None:
        if self._file.read(len(data)) != data:
            raise _DifferentError


def _in_order(wheels: Iterable[tuple[str, int, IO[bytes]]], release: Release) -> Iterator[tuple[str, int, IO[bytes]]]:
    for expected, wheel in zip(sorted(release.manifest.wheels), wheels, strict=True):
        if wheel[0] != expected:
            raise _DifferentError
        yield wheel


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
            folder, files, wheels = _content(path, stream)
            while stream.read(_BLOCK_BYTES):  # to its end, where gzip's checksum is
                pass
    except gzip.BadGzipFile as error:  # it is an OSError as well
        raise BuildError(f"{path} is not a whole archive: {error}") from error
    except OSError as error:
        raise BuildError(f"{path} cannot be read: {error.strerror or error}") from error
    except (tarfile.TarError, zlib.error, EOFError, ValueError, RecursionError) as error:
        raise BuildError(f"{path} is not a whole archive: {error}") from error
    release = verified_release(str(path), files, wheels)
    if folder != release.manifest.release.folder_name:
        raise BuildError(
            f"{path}: its folder is {folder!r}, its manifest says {release.manifest.release.folder_name!r}"
        )
    return release


def archived_wheels(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Yield name, size and content of each wheel in an archive that `release_from_archive` has checked.

    Each content must be read, if at all, before the next wheel is asked for. It may have changed since the check.
    """
    with path.open("rb") as file, gzip.GzipFile(fileobj=file) as plain:
        for _, place, member, content in _entries(path, _Bounded(cast("IO[bytes]", plain), path)):
            folder, slash, name = place.rpartition("/")
            if slash and folder == WHEELS_FOLDER:
                yield name, member.size, content


class _Bounded(io.RawIOBase):
    """A stream that raises an error if more is read from it than an archive may hold."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path
        self._left = MAXIMUM_BYTES
        self._left_for_wheels = MAXIMUM_WHEEL_BYTES

    def allow_wheel(self, size: int) -> None:
        """Let a wheel be read on top of the rest."""
        self._left_for_wheels -= size
        if self._left_for_wheels < 0:
            raise BuildError(f"{self._path} holds wheels of more than {MAXIMUM_WHEEL_BYTES // 1024**3} GiB")
        self._left += size

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or size > self._left:
            size = self._left + 1
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BuildError(_TOO_MUCH.format(self._path))
        return data


def _content(path: Path, stream: _Bounded) -> tuple[str, dict[str, bytes], dict[str, str]]:
    """Return the name of the one folder in an archive, its files, and the SHA-256 of each of its wheels."""
    files: dict[str, bytes] = {}
    wheels: dict[str, str] = {}
    top = ""
    left = MAXIMUM_BYTES
    for folder, place, member, content in _entries(path, stream):
        top = folder
        is_wheel = "/" in place
        name = place.rpartition("/")[2]
        if name in (wheels if is_wheel else files):
            raise BuildError(f"{path} holds {member.name!r} twice")
        if len(files) + len(wheels) == MAXIMUM_FILES:
            raise BuildError(f"{path} holds more than {MAXIMUM_FILES} files")
        if is_wheel:
            wheels[name] = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
        else:
            left -= member.size
            if left < 0:
                raise BuildError(_TOO_MUCH.format(path))
            files[name] = content.read()
        if content.tell() != member.size:
            raise BuildError(f"{path} ends in the middle of {member.name!r}")
    return top, files, wheels


def _entries(path: Path, stream: _Bounded) -> Iterator[tuple[str, str, tarfile.TarInfo, IO[bytes]]]:
    """Yield the folder of an archive with the name in it, the entry and the content of each regular file."""
    folders: set[str] = set()
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            folder, slash, name = member.name.partition("/")
            in_wheels = name.startswith(f"{WHEELS_FOLDER}/")
            is_folder = member.isdir() and (not slash or name == WHEELS_FOLDER)
            is_plain = is_wheel_name(name.partition("/")[2]) if in_wheels else is_plain_name(name)
            folders.add(folder)
            if len(folders) > 1 or not is_plain_name(folder) or (slash and not is_plain):
                raise BuildError(f"{path}: {member.name[:300]!r} is not a plain name in the one folder of a release")
            if is_folder:
                continue
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse() or not slash:
                raise BuildError(f"{path}: {member.name!r} is not a regular file; a release holds no others")
            if in_wheels:
                stream.allow_wheel(member.size)
            yield folder, name, member, cast("IO[bytes]", tar.extractfile(member))
    if len(folders) != 1:
        raise BuildError(f"{path} is empty; it must hold one release folder")
