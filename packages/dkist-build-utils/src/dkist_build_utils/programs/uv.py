"""Run uv with the settings that may decide about a release, and no others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import uv

from dkist_airflow_node.worker import BUILD_VARIABLES
from dkist_build_utils.errors import BuildError, UvError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DROPPED = {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "FORCE_COLOR", "CLICOLOR_FORCE"}


def clean_environment() -> dict[str, str]:
    """Return the environment variables for uv and for the interpreters of the environments that it makes.

    Of uv's own variables only those pass that say where packages come from. Others would leak in from the caller, for
    example ``UV_CONSTRAINT`` of the hatch environment that a pipeline runs in.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED
        and (not name.startswith("UV_") or any(fnmatchcase(name, each) for each in BUILD_VARIABLES))
    }


def run_uv(*arguments: str | Path, standard_input: str = "") -> str:
    """Run uv to its end and return what it printed.

    It reads the settings of the user and of the machine, but none of a project, whatever the working folder is.

    Parameters
    ----------
    *arguments : str or Path
        The command of uv and its options.
    standard_input : str, optional
        What uv reads.

    Raises
    ------
    UvError
        uv failed; the message is its own.
    BuildError
        uv is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as neutral:
        done = subprocess.run(
            [_program(), "--project", neutral, "--no-progress", "--color", "never", *map(str, arguments)],
            env=clean_environment(),
            input=standard_input,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode != 0:
        raise UvError(_own_words(done.stderr) or f"uv ended with exit status {done.returncode}")
    return done.stdout


def find_links_options(folders: Sequence[Path]) -> Iterator[str]:
    """Yield the options that make uv look for wheels in some folders."""
    for folder in folders:
        yield "--find-links"
        yield str(folder.resolve())


@contextmanager
def locked_environment(lock: bytes, python: str, find_links: Sequence[Path]) -> Iterator[Path]:
    """Make an environment from a lock alone, yield its interpreter, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
        interpreter = Path(folder, "environment", "bin", "python")
        requirements = Path(folder, "requirements.txt")
        requirements.write_bytes(lock)
        run_uv("venv", "--no-python-downloads", "--python", _interpreter(python), interpreter.parents[1])
        options = ["--require-hashes", "--only-binary", ":all:", "--python", str(interpreter)]
        run_uv("pip", "sync", *options, *find_links_options(find_links), requirements)
        yield interpreter


def has_interpreter(python: str) -> bool:
    """Return whether uv finds an interpreter of this version on this machine."""
    try:
        run_uv("python", "find", "--no-python-downloads", _interpreter(python))
    except UvError:
        return False
    return True


def _interpreter(python: str) -> str:
    """Return the name or path by which uv finds an interpreter; uv may not look where the running one is."""
    return sys.executable if python == f"{sys.version_info.major}.{sys.version_info.minor}" else python


def _program() -> str:
    """Return the uv that was installed with this distribution, or the one on the PATH."""
    try:
        return str(uv.find_uv_bin())
    except FileNotFoundError:
        found = shutil.which("uv")
        if found is None:
            raise BuildError("the program 'uv' is not on this machine; install it, for example with pip") from None
        return found


def _own_words(text: str) -> str:
    """Return uv's error without its warnings and progress, one statement a line."""
    lines = [line.rstrip().removeprefix("error: ") for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("warning:", "Using ", "Resolved ", "Creating ", "Activate"))]
    return "\n".join(said)
