"""From a client of dkist-processing-core to one of ours, in one step."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dkist_build_utils.errors import BuildError, GitError
from dkist_build_utils.migration.change import Change, write_changes
from dkist_build_utils.programs import run_git

if TYPE_CHECKING:
    from pathlib import Path

    from dkist_build_utils.migration.decision import Decision


@dataclass(frozen=True)
class Migration:
    """What a migration changes, and what it leaves to a person."""

    changes: tuple[Change, ...]
    """The files that change, sorted."""
    decisions: tuple[Decision, ...]
    """What a person must decide, by file and line."""
    notes: tuple[str, ...] = ()
    """What to know about the packages that this one requires."""


def migrate(folder: Path, *, is_dry_run: bool = False, allow_dirty: bool = False) -> Migration:
    """Rewrite a client package of dkist-processing-core; what is not understood stays as it is.

    A second migration changes nothing.

    Parameters
    ----------
    folder : Path
        The folder of the package, with its pyproject.toml.
    is_dry_run : bool, optional
        Write nothing.
    allow_dirty : bool, optional
        Write even if git cannot restore the files as they are now.

    Raises
    ------
    BuildError
        libcst is not installed, the folder is not there or not in a clean git repository, or a file was changed by
        somebody else in between. Nothing is written.
    OSError
        A file cannot be read or written.
    """
    if missing := [name for name in ("libcst", "tomlkit") if find_spec(name) is None]:
        raise BuildError(f"{missing[0]}, which rewrites files, is not installed; install 'dkist-build-utils[migrate]'")
    if not folder.is_dir():
        raise BuildError(f"{folder}: there is no such folder")
    if not (is_dry_run or allow_dirty):
        _check_clean(folder)
    from dkist_build_utils.migration.package import rewritten_package  # needs the extra

    rewriting = rewritten_package(folder)
    changes = rewriting.changes()
    if not is_dry_run:
        write_changes(folder, changes)
    return Migration(changes, tuple(sorted(set(rewriting.decisions))), rewriting.notes())


def _check_clean(folder: Path) -> None:
    """Raise BuildError where a migration could not be taken back."""
    remedy = "or migrate with --allow-dirty"
    try:
        changed = run_git(folder, "status", "--porcelain", "--", ".").splitlines()
    except GitError as error:
        raise BuildError(
            f"{folder} is in no git repository that could undo this ({error}); make one, {remedy}"
        ) from error
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise BuildError(f"{folder} has changes that are not committed ({changed[0][3:]}{more}); commit them, {remedy}")
