"""Find a Python interpreter of a given minor version on this machine, without downloading one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


class InterpreterMissingError(LookupError):
    """No interpreter of the version runs on this machine."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"Python {version} was not found: no python{version} on PATH or among pyenv's versions runs; "
            f"install it (pyenv install {version}) or put the folder that holds python{version} on PATH"
        )
        self.version = version


def find_interpreter(version: str) -> Path:
    """Find an interpreter that runs.

    `uv python find` is not enough with pyenv: its shims are first on PATH, and the shim of a version that is not
    selected fails.

    Parameters
    ----------
    version : str
        Major and minor version, as in ``3.13``.

    Raises
    ------
    InterpreterMissingError
        No candidate runs and reports that version.
    """
    for candidate in _candidates(version):
        if candidate.is_file() and _reports(candidate, version):
            return candidate
    raise InterpreterMissingError(version)


def _candidates(version: str) -> Iterator[Path]:
    for folder in os.get_exec_path():
        yield Path(folder, f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))


def _reports(interpreter: Path, version: str) -> bool:
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [interpreter, "-I", "-c", question], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version
