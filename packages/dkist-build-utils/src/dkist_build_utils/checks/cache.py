"""What was proven before: answers without a fault, each for exactly the inputs that it was found with.

A wrong "there is no fault" is the worst that a check can say. So the subject of an answer is a digest of everything
that was asked. An answer that depends on files holds a digest of those too, which is made again before it is believed.
A fault is never remembered. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import sysconfig
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VARIABLE = "DKIST_BUILD_CACHE"
"""The environment variable that names another folder for the cache, or switches it off: ``off``."""

_LARGEST_BYTES = 32 * 1024 * 1024
"""What all answers of a kind may take together; the oldest are removed."""
_MOST = 200
"""How many answers of a kind are kept."""
_FORM = 1
"""Raise it when what is remembered, or what it is remembered for, changes."""
_VOLATILE = (
    "PYTEST_",
    "HATCH_",
    "COLUMNS",
    "LINES",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
    "TERM",
    "SSH_",
    "WINDOWID",
    "DKIST_BUILD_CACHE",
)
"""Environment variables, or how their names begin, that change from one call to the next and say nothing to a task."""
_GRANULARITY_NS = 50_000_000
"""How much older than its change the time of a file may be: what a file system rounds to, and a little more."""
_INSTALLED = tuple(
    f"{folder}{os.sep}"
    for folder in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


@dataclass(frozen=True)
class Cache:
    """A folder of answers of one kind; see the module."""

    folder: Path | None
    """Where they are; None if nothing is remembered."""

    @classmethod
    def of_this_user(cls, kind: str) -> Cache:
        """Return the answers of a kind of the person who runs this process."""
        stated = os.environ.get(VARIABLE, "")
        if stated == "off":
            return cls(None)
        home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
        return cls((Path(stated) if stated else Path(home, "dkist-build")).absolute() / kind)

    def read(self, subject: str) -> Any:
        """Return what was remembered of a subject, a digest; None if nothing was, or it cannot be read."""
        if self.folder is None:
            return None
        file = self.folder / subject
        try:
            form, stated, answer = json.loads(zlib.decompress(file.read_bytes()))
            os.utime(file)
        except (OSError, ValueError, TypeError, zlib.error):
            return None
        return answer if (form, stated) == (_FORM, subject) else None

    def write(self, subject: str, answer: object) -> None:
        """Remember an answer; where that is not possible, nothing is remembered."""
        if self.folder is None:
            return
        content = zlib.compress(json.dumps([_FORM, subject, answer]).encode(), level=1)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".new-", delete=False) as file:
                file.write(content)
            Path(file.name).replace(self.folder / subject)
            _prune(self.folder)
        except OSError:
            return


def _prune(folder: Path) -> None:
    """Remove the answers that were not asked for longest, until the others fit."""
    found = sorted(
        ((state.st_mtime_ns, state.st_size, entry.path) for entry in os.scandir(folder) if (state := entry.stat())),
        reverse=True,
    )
    size = 0
    for number, (_, own, path) in enumerate(found):
        size += own
        if size > _LARGEST_BYTES or number >= _MOST:
            Path(path).unlink(missing_ok=True)


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value that JSON can hold, the interpreter and its platform included."""
    own = [sys.version, sys.platform, os.path.realpath(sys.executable), sys.prefix, sys.flags.optimize]
    return hashlib.sha256(json.dumps([own, value], sort_keys=True).encode()).hexdigest()


def stable_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that a module could behave differently by when it is imported."""
    return {name: value for name, value in environ.items() if not any(_is_volatile(name, each) for each in _VOLATILE)}


def files_digest(files: Iterable[str], folders: Iterable[str], *, unchanged_since: int | None = None) -> str | None:
    """Return a digest of the state of files and of what can be imported from folders.

    A file that an installer wrote is known by size and time, as Python knows whether its bytecode is still true. Any
    other file is known by its content, since a person edits it.

    Parameters
    ----------
    files : iterable of str
        Absolute paths.
    folders : iterable of str
        Where modules are looked for: only their names count.
    unchanged_since : int, optional
        A time in nanoseconds. If something was changed after it, the result is None: nobody knows whether the state
        is the one that was checked.
    """
    result = hashlib.sha256()
    newest = 0
    for file in files:
        try:
            state = Path(file).stat()
            known = (
                f"{state.st_size} {state.st_mtime_ns}"
                if file.startswith(_INSTALLED)
                else hashlib.sha256(Path(file).read_bytes()).hexdigest()
            )
        except OSError as error:
            known = type(error).__name__
        else:
            newest = max(newest, state.st_mtime_ns)
        result.update(f"{file}\0{known}\0".encode(errors="surrogateescape"))
    for folder in folders:
        result.update(f"{folder}\0{_names_in(folder)}\0".encode(errors="surrogateescape"))
    if unchanged_since is not None and newest > unchanged_since - _GRANULARITY_NS:
        return None
    return result.hexdigest()


def tree_files(folder: Path) -> list[str]:
    """Return the paths of all files below a folder but bytecode, sorted."""
    return sorted(
        f"{parent}/{name}"
        for parent, _, names in os.walk(folder)
        for name in names
        if not parent.endswith("__pycache__")
    )


def _names_in(folder: str) -> str:
    """Return what the import system and metadata could find in a folder; for a zip file, its size and time."""
    try:
        names = []
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                stem, _, ending = entry.name.partition(".")
                if entry.name.endswith(".pth"):
                    state = entry.stat()
                    names.append(f"{entry.name} {state.st_size} {state.st_mtime_ns}")
                elif (stem.isidentifier() and stem != "__pycache__") or ending.endswith(("dist-info", "egg-info")):
                    names.append(entry.name)
        return "/".join(sorted(names))
    except NotADirectoryError:
        state = Path(folder).stat()  # a zip file
        return f"{state.st_size} {state.st_mtime_ns}"
    except OSError as error:
        return type(error).__name__


def _is_volatile(name: str, pattern: str) -> bool:
    return name.startswith(pattern) if pattern.endswith("_") and pattern != "_" else name == pattern
