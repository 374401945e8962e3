"""The wheelhouse of a dags folder: the wheels of every deployed version, each once, where workers find them.

It lies beside the dags folder, never in it: Airflow takes any zip file there for DAGs. ::

    .<name of the dags folder>.dkist-wheels/
        dags-folder              the dags folder that it belongs to
        content/<SHA-256>        each wheel
        <SHA-256 of a lock>/     every wheel that the lock names, under its own name: hard links to the content

A folder of a lock appears as a whole, so a worker that finds it needs no index. The runner of every DAG file relies on
the place and on the names of these folders.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dkist_build_utils.deployment.leftover import remove_or_name
from dkist_build_utils.errors import BuildError
from dkist_build_utils.release import Release, file_digest, flush, flush_folder, wheels_of_lock

if TYPE_CHECKING:
    from collections.abc import Iterable

WHEELHOUSE_VARIABLE = "DKIST_WHEELHOUSE"
"""Names the wheelhouse, for those who deploy and for workers."""

_OWNER = "dags-folder"
_CONTENT = "content"
_PARTIAL = ".partial"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BLOCK_BYTES = 2**20


class Wheelhouse:
    """The wheelhouse of a dags folder. Whoever changes it holds the lock of the dags folder.

    Parameters
    ----------
    dags : Path
        The dags folder, resolved.
    folder : path, optional
        The wheelhouse. By default the one that ``DKIST_WHEELHOUSE`` names, then ``.<name>.dkist-wheels`` beside the
        dags folder.

    Raises
    ------
    BuildError
        It is in the dags folder.
    """

    def __init__(self, dags: Path, folder: str | os.PathLike[str] | None = None) -> None:
        named = folder or os.environ.get(WHEELHOUSE_VARIABLE)
        self._dags = dags
        self.folder = dags.with_name(f".{dags.name}.dkist-wheels") if not named else Path(named).resolve()
        if self.folder == dags or dags in self.folder.parents:
            raise BuildError(
                f"the wheelhouse {self.folder} is in the dags folder, where Airflow takes every wheel for DAGs; "
                "name a folder outside"
            )

    def has(self, lock_sha256: str) -> bool:
        """Return whether every wheel of a lock is there."""
        return (self.folder / lock_sha256).is_dir()

    def add(self, release: Release, wheels: Iterable[tuple[str, int, IO[bytes]]]) -> None:
        """Bring in the wheels of a release; what is there already is verified and used.

        Parameters
        ----------
        release : Release
            The release.
        wheels : iterable of tuple
            Name, size and content of each of its wheels.

        Raises
        ------
        BuildError
            A wheel is not as the manifest says, or the wheelhouse is that of another dags folder.
        """
        self._open()
        content = self.folder / _CONTENT
        for name, _, file in wheels:
            expected = release.manifest.wheels[name]
            path = content / expected
            if not path.is_file() or file_digest(path) != expected:
                self._write(name, file, path)
        flush(content)
        for lock in release.manifest.locks:
            target = self.folder / release.manifest.files[lock]
            names = wheels_of_lock(release.files[lock], release.manifest.wheels)
            self._link(target, {name: content / sha256 for name, sha256 in names.items()})

    def keep_only(self, lock_digests: Iterable[str]) -> None:
        """Remove the wheels that no lock with one of these digests names, and what a killed deploy left."""
        if not (self.folder / _OWNER).is_file() or self._owner() != str(self._dags):
            return
        needed = set(lock_digests)
        for path in self.folder.iterdir():
            if (_DIGEST.fullmatch(path.name) and path.name not in needed) or path.name.endswith(_PARTIAL):
                removed = path.with_name(f"{secrets.token_hex(8)}{_PARTIAL}")
                path.rename(removed)  # no worker takes what is half removed for whole
                remove_or_name(removed)
        for path in (self.folder / _CONTENT).iterdir():
            if path.stat().st_nlink == 1:
                remove_or_name(path)

    def _open(self) -> None:
        """Create the wheelhouse; BuildError if it belongs to another dags folder."""
        try:
            new = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]
            (self.folder / _CONTENT).mkdir(parents=True, exist_ok=True)
            if not (self.folder / _OWNER).exists():
                (self.folder / _OWNER).write_text(f"{self._dags}\n", encoding="utf-8")
            for path in {*new, self.folder, self.folder / _CONTENT}:
                path.chmod(0o755)
            (self.folder / _OWNER).chmod(0o644)
        except OSError as error:
            raise BuildError(f"the wheelhouse {self.folder} cannot be created: {error.strerror}") from error
        if self._owner() != str(self._dags):
            raise BuildError(
                f"the wheelhouse {self.folder} belongs to the dags folder {self._owner()}, which would remove these "
                "wheels; name another folder"
            )

    def _owner(self) -> str:
        return (self.folder / _OWNER).read_text(encoding="utf-8").strip()

    def _write(self, name: str, file: IO[bytes], path: Path) -> None:
        """Write the content of a wheel, which has its digest for a name."""
        partial = path.with_name(f"{secrets.token_hex(8)}{_PARTIAL}")
        try:
            found = hashlib.sha256()
            with partial.open("xb") as copy:
                while block := file.read(_BLOCK_BYTES):
                    found.update(block)
                    copy.write(block)
                os.fchmod(copy.fileno(), 0o644)
                os.fsync(copy.fileno())
            if found.hexdigest() != path.name:
                raise BuildError(f"the wheel {name} changed while it was deployed; deploy again")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _link(self, target: Path, wheels: dict[str, Path]) -> None:
        """Have the folder of a lock hold these wheels: it appears as a whole, and damaged wheels in it are replaced."""
        staged = target.with_name(f"{secrets.token_hex(8)}{_PARTIAL}")
        staged.mkdir()
        try:
            for name, path in wheels.items():
                os.link(path, staged / name)
            staged.chmod(0o755)
            flush_folder(staged)
            if not target.is_dir():
                staged.rename(target)
            for path in staged.glob("*"):
                path.replace(target / path.name)  # does nothing where both are the same file
            flush(self.folder)
        except OSError as error:
            raise BuildError(f"the wheelhouse {self.folder} cannot hold hard links: {error.strerror}") from error
        finally:
            shutil.rmtree(staged, ignore_errors=True)
