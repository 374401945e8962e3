"""The program uv, run so that only what may decide about a release does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uv

from dkist_build_utils.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Where packages come from and how they are fetched. Everything else of uv's settings would leak from whoever calls, for
# example the constraints of the hatch environment that a pipeline runs in.
_KEPT = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|FIND_LINKS|NO_INDEX|OFFLINE|KEYRING_PROVIDER"
    r"|INDEX_\w+_(USERNAME|PASSWORD)|CREDENTIALS_DIR|CONFIG_FILE|NATIVE_TLS|SYSTEM_CERTS|INSECURE_HOST"
    r"|HTTP_TIMEOUT|HTTP_CONNECT_TIMEOUT|HTTP_RETRIES|CONCURRENT_DOWNLOADS|CACHE_DIR|PYTHON_INSTALL_DIR)"
)
_DROPPED = {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "FORCE_COLOR", "CLICOLOR_FORCE"}


class UvError(BuildError):
    """
    A run of uv failed.

    Parameters
    ----------
    message
        What uv said.
    """


def clean_environment() -> dict[str, str]:
    """Return the environment variables for uv and for the interpreters of the environments that it makes."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and (not name.startswith("UV_") or _KEPT.fullmatch(name))
    }


def run_uv(*arguments: str | Path, standard_input: str | None = None) -> str:
    """
    Run uv to its end and return what it printed.

    No project's settings are read, whatever the working folder; the user's and the machine's are.

    Raises
    ------
    UvError
        It failed, with its own words.
    BuildError
        There is no uv.
    """
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as neutral:
        done = subprocess.run(
            [_program(), "--project", neutral, "--no-progress", "--color", "never", *map(str, arguments)],
            env=clean_environment(),
            input=standard_input if standard_input is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode != 0:
        raise UvError(_own_words(done.stderr) or f"uv ended with exit status {done.returncode}")
    return done.stdout


def find_links_options(folders: Sequence[Path]) -> Iterator[str]:
    """Yield the options that have uv look for wheels in some folders."""
    for folder in folders:
        yield "--find-links"
        yield str(folder.resolve())


@contextmanager
def locked_environment(lock: bytes, python: str, find_links: Sequence[Path]) -> Iterator[Path]:
    """Make an environment from a lock alone and give its interpreter; it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
        interpreter = Path(folder, "environment", "bin", "python")
        requirements = Path(folder, "requirements.txt")
        requirements.write_bytes(lock)
        run_uv("venv", "--no-python-downloads", "--python", _interpreter(python), interpreter.parents[1])
        options = ["--require-hashes", "--only-binary", ":all:", "--python", str(interpreter)]
        run_uv("pip", "sync", *options, *find_links_options(find_links), requirements)
        yield interpreter


def has_interpreter(python: str) -> bool:
    """Tell whether uv finds an interpreter of this version on this machine."""
    try:
        run_uv("python", "find", "--no-python-downloads", _interpreter(python))
    except UvError:
        return False
    return True


def _interpreter(python: str) -> str:
    """Return what uv finds an interpreter by: the running one need not be where uv looks."""
    return sys.executable if python == f"{sys.version_info.major}.{sys.version_info.minor}" else python


def _program() -> str:
    """Return the uv that was installed with this distribution, or the one on the PATH."""
    try:
        return str(uv.find_uv_bin())
    except FileNotFoundError:
        found = shutil.which("uv")
        if found is None:
            raise BuildError("there is no program 'uv' on this machine; install it, for example with pip") from None
        return found


def _own_words(text: str) -> str:
    """Return what uv said without its warnings and reports of progress, on one line a statement."""
    lines = [line.rstrip().removeprefix("error: ") for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("warning:", "Using ", "Resolved ", "Creating ", "Activate"))]
    return "\n".join(said)
