"""Where the code of a release came from: the commit, and whether anything was changed since."""

from __future__ import annotations

import json
import logging
import os
import sys
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from dkist_build_utils.errors import BuildError, GitError
from dkist_build_utils.programs import run_git
from dkist_workflow import normalized_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """The state of the repository that a release was made from."""

    commit: str
    """The commit, in hexadecimal."""
    is_clean: bool
    """Whether every file was as in the commit, and no file was beside them that the repository does not know."""


def source_of(package: str, distribution_name: str, made: Sequence[Path] = ()) -> Source | None:
    """Return the commit of the repository that holds the project of a workflow package; None if there is none.

    The project is, in this order: where the package itself lies, if the repository knows its files; what the
    distribution was installed from; the working folder, if its ``pyproject.toml`` names the distribution (a pipeline
    that installs the wheel that it has built).

    Parameters
    ----------
    package : str
        The dotted name of the package, which has been imported.
    distribution_name : str
        The instrument distribution, normalised.
    made : sequence of Path, optional
        Files and folders that do not count as changes, because a build makes them; one that holds the project itself
        does count.
    """
    installed = _installed_commit(distribution_name)
    if installed is not None:
        return Source(installed, is_clean=True)
    for project in _projects(package, distribution_name):
        try:
            commit = run_git(project, "rev-parse", "--verify", "HEAD").strip()
            root = Path(run_git(project, "rev-parse", "--show-toplevel").rstrip("\n"))
            status = run_git(project, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
        except GitError as error:
            if "not a git repository" not in str(error):
                _LOGGER.warning("the commit of '%s' is not recorded: %s", project, error)
            continue
        outside = [path.resolve() for path in made if not project.resolve().is_relative_to(path.resolve())]
        return Source(commit, not any(_is_change(entry, root, outside) for entry in status.split("\0") if entry))
    return None


def stated_time() -> str | None:
    """Return the time that ``SOURCE_DATE_EPOCH`` gives, in UTC; None without it.

    The clock is never asked, so that the same release is the same bytes on any day.

    Raises
    ------
    BuildError
        The variable is not a number of seconds.
    """
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        raise BuildError(f"SOURCE_DATE_EPOCH must be a number of seconds since 1970, not {seconds!r:.80}") from None


def _projects(package: str, distribution_name: str) -> Iterator[Path]:
    """Yield each folder that may be that of the project, the surest first."""
    for folder in map(Path, getattr(sys.modules.get(package), "__path__", ())):
        if folder.is_dir() and _knows(folder):
            yield folder
    directory = _direct_url(distribution_name)
    if "dir_info" in directory:
        yield Path(url2pathname(urlsplit(directory["url"]).path))
    if _project_name(Path.cwd() / "pyproject.toml") == distribution_name:
        yield Path.cwd()


def _knows(folder: Path) -> bool:
    """Return whether a repository has files of a folder, which may also be one where packages are installed."""
    try:
        return bool(run_git(folder, "ls-files", "--", "."))
    except GitError:
        return False


def _is_change(entry: str, root: Path, made: Sequence[Path]) -> bool:
    """Return whether a line of git's status is a change that counts."""
    path = root / entry[3:]
    return not (entry.startswith("??") and any(path.is_relative_to(each) for each in made))


def _installed_commit(distribution_name: str) -> str | None:
    """Return the commit that the distribution was installed from, if an installer fetched it from a repository."""
    commit = _direct_url(distribution_name).get("vcs_info", {}).get("commit_id")
    return commit if isinstance(commit, str) else None


def _direct_url(distribution_name: str) -> dict[str, Any]:
    """Return what the installer recorded of where a distribution came from (PEP 610)."""
    try:
        text = distribution(distribution_name).read_text("direct_url.json")
    except PackageNotFoundError:
        return {}
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}


def _project_name(file: Path) -> str | None:
    """Return the normalised name of the project in a ``pyproject.toml``; None if it has none."""
    try:
        name = tomllib.loads(file.read_text(encoding="utf-8"))["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return normalized_name(name) if isinstance(name, str) else None
