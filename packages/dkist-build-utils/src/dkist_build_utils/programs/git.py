"""Run git, which knows where source code came from."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from dkist_build_utils.errors import GitError

if TYPE_CHECKING:
    from pathlib import Path

_HOOK_VARIABLES = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"}
"""Variables that git sets for a hook: they name the hook's repository, whatever the folder."""


def run_git(folder: Path, *arguments: str) -> str:
    """Ask git about the repository that a folder is in, changing nothing, and return what it printed.

    Parameters
    ----------
    folder : Path
        The folder.
    *arguments : str
        The command of git and its options.

    Raises
    ------
    GitError
        git is not installed, the folder is in no repository, or git refuses to read it.
    """
    program = shutil.which("git")
    if program is None:
        raise GitError("the program 'git' is not on this machine")
    environment = {name: value for name, value in os.environ.items() if name not in _HOOK_VARIABLES}
    done = subprocess.run(
        [program, "--no-optional-locks", "-C", str(folder), *arguments],
        env={**environment, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    if done.returncode:
        raise GitError(done.stderr.strip().partition("\n")[0])
    return done.stdout
