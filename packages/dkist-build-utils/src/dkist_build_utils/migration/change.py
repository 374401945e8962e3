"""New content of several files, written together."""

from __future__ import annotations

import difflib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Change:
    """A file and its new content."""

    path: Path
    """The file, relative to the folder of the package."""
    before: bytes | None
    """What it held; None for a new file."""
    after: bytes
    """What it is to hold."""

    def diff(self) -> str:
        """Return the difference for people, as ``git diff`` shows it."""
        name = self.path.as_posix()
        lines = difflib.unified_diff(
            (self.before or b"").decode(errors="replace").splitlines(keepends=True),
            self.after.decode(errors="replace").splitlines(keepends=True),
            "/dev/null" if self.before is None else f"a/{name}",
            f"b/{name}",
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def write_changes(folder: Path, changes: Sequence[Change]) -> None:
    """Write all files, or none.

    Each is written beside its place first. Only when all of them are complete do they take their places, one after the
    other; if one cannot, those before it get their old content back. A process that is killed in between leaves some
    files new and some old, and none half written.

    Parameters
    ----------
    folder : Path
        The folder of the package.
    changes : sequence of Change
        The files.

    Raises
    ------
    BuildError
        A file was changed by somebody else since it was read.
    OSError
        A file cannot be written.
    """
    for change in changes:
        _check_unchanged(folder, change)
    staged: list[tuple[Path, Change]] = []
    placed: list[Change] = []
    try:
        for change in changes:  # one at a time: what is staged is removed if the next one fails
            partial = _stage(folder / change.path, change)
            staged.append((partial, change))
        for partial, change in staged:
            _check_unchanged(folder, change)
            partial.replace(folder / change.path)
            placed.append(change)
    except BaseException:
        for change in placed:
            _restore(folder / change.path, change)
        raise
    finally:
        for partial, _ in staged:
            partial.unlink(missing_ok=True)


def _check_unchanged(folder: Path, change: Change) -> None:
    path = folder / change.path
    now = path.read_bytes() if path.exists() else None
    if now != change.before:
        raise BuildError(f"{change.path} was changed while it was read; nothing is migrated: run the command again")


def _stage(path: Path, change: Change) -> Path:
    """Write the new content beside a file, with the file's mode; return where."""
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(change.after)
            file.flush()
            os.fsync(file.fileno())
        if change.before is not None:
            partial.chmod(path.stat().st_mode)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return partial


def _restore(path: Path, change: Change) -> None:
    """Give a file its old content back; an error that stopped the writing goes before one of this."""
    with suppress(OSError):
        if change.before is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(change.before)


def paths_in(folder: Path) -> Iterator[Path]:
    """Yield the files of a package, relative to its folder, sorted; what tools made, and hidden folders, are left out.

    Parameters
    ----------
    folder : Path
        The folder of the package.
    """
    left_out = {"build", "dist", "node_modules", "__pycache__"}
    for root, folders, files in os.walk(folder):
        here = Path(root)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in left_out
            and not name.endswith(".egg-info")
            and not (here / name / "pyvenv.cfg").exists()
        )
        yield from (here.relative_to(folder) / name for name in sorted(files))
