"""Run OpenSSH's ssh-keygen, which signs and verifies without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from dkist_build_utils.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = "ssh-keygen"


def is_ssh_keygen_installed() -> bool:
    """Return whether signatures can be verified on this machine."""
    return shutil.which(_PROGRAM) is not None


def run_ssh_keygen(*arguments: str | Path, standard_input: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run ``ssh-keygen -Y`` to its end and keep what it prints.

    Parameters
    ----------
    *arguments : str or Path
        What follows ``-Y``.
    standard_input : bytes
        What is signed or verified.

    Raises
    ------
    BuildError
        ssh-keygen is not installed.
    """
    program = shutil.which(_PROGRAM)
    if program is None:
        raise BuildError(
            f"the program {_PROGRAM!r} is not on this machine, so nothing can be signed or verified; install OpenSSH's "
            "client programs"
        )
    return subprocess.run(
        [program, "-Y", *map(str, arguments)],
        env={**os.environ, "LC_ALL": "C"},
        input=standard_input,
        capture_output=True,
        check=False,
    )


def own_words(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the error that ssh-keygen printed, in one line."""
    lines = (line.strip(" \r@") for line in done.stderr.decode(errors="replace").splitlines())
    return "; ".join(filter(None, lines)) or f"{_PROGRAM} ended with exit status {done.returncode}"
