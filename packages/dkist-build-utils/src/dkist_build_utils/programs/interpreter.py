"""A Python program that runs in an interpreter of its own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def run_program(
    python: str | Path,
    program: Path,
    arguments: Sequence[str | Path],
    *,
    folder: str | Path,
    environment: Mapping[str, str] | None,
    timeout: float,
) -> subprocess.CompletedProcess[str]:
    """Run a program of this distribution to its end, without input, and keep what it prints.

    The program's folder is not on its ``sys.path``, where our modules would hide others of the same name.

    Parameters
    ----------
    python : str or Path
        The interpreter.
    program : Path
        The program's file.
    arguments : sequence of str or Path
        Its arguments.
    folder : str or Path
        Its working folder.
    environment : mapping of str to str or None
        Its environment variables; None for those of this process.
    timeout : float
        When it is killed, in seconds.

    Raises
    ------
    subprocess.TimeoutExpired
        It took longer than the timeout.
    """
    return subprocess.run(
        [str(part) for part in (python, "-P", program, *arguments)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
