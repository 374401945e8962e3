"""Run uv with the settings that may decide about a release, and no others."""

from __future__ import annotations

import json
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

_DROPPED = {
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",  # else every environment of a release would compile the same modules again
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
}


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


def named_find_links() -> tuple[Path, ...]:
    """Return the folders that ``UV_FIND_LINKS`` names; one that is missing, or an address, is among them."""
    return tuple(Path(text.strip()) for text in os.environ.get("UV_FIND_LINKS", "").split(",") if text.strip())


def find_links_options(folders: Sequence[Path]) -> Iterator[str]:
    """Yield the options that make uv look for wheels in some folders, and where ``UV_FIND_LINKS`` says."""
    places = [str(folder.resolve()) for folder in folders]
    if places:  # the option takes the place of the variable
        places += filter(None, os.environ.get("UV_FIND_LINKS", "").split(","))
    for place in places:
        yield "--find-links"
        yield place


@contextmanager
def locked_environment(
    lock: bytes, python: str, find_links: Sequence[Path], *, like: Path | None = None
) -> Iterator[Path]:
    """Make an environment from a lock alone, yield its interpreter, and remove it afterwards.

    Parameters
    ----------
    lock : bytes
        The lock.
    python : str
        The version of its Python, ``X.Y``.
    find_links : sequence of Path
        Folders with wheels that are not published yet.
    like : Path, optional
        The interpreter of another such environment with the same Python. What both hold is taken from there with its
        bytecode, which is most of the work.

    Yields
    ------
    Path
        Its interpreter.
    """
    with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
        interpreter = Path(folder, "environment", "bin", "python")
        requirements = Path(folder, "requirements.txt")
        requirements.write_bytes(lock)
        if like is None:
            run_uv("venv", "--no-python-downloads", "--python", _interpreter(python), interpreter.parents[1])
        else:
            shutil.copytree(like.parents[1], interpreter.parents[1], symlinks=True, copy_function=_linked)
        options = ["--require-hashes", "--only-binary", ":all:", "--python", str(interpreter)]
        run_uv("pip", "sync", *options, *find_links_options(find_links), requirements)
        if like is not None:
            _remove_hollow_folders(interpreter.parents[1] / "lib")
        yield interpreter


def _linked(source: str, target: str) -> str:
    """Link a file, or copy it where that is not possible; installers and Python replace files, never change them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _remove_hollow_folders(folder: Path) -> bool:
    """Remove folders that hold bytecode at most, and return whether this one was: each could be imported as a package.

    That is what may be left of a distribution that another environment had.
    """
    is_hollow = True
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            is_hollow &= _remove_hollow_folders(Path(entry.path))
        else:
            is_hollow &= entry.name.endswith(".pyc") and folder.name == "__pycache__"
    if is_hollow and folder.name != "__pycache__":
        shutil.rmtree(folder)
    return is_hollow


def interpreter_path(python: str) -> str | None:
    """Return the interpreter of this version that uv finds on this machine; None if there is none."""
    try:
        return run_uv("python", "find", "--no-python-downloads", _interpreter(python)).strip()
    except UvError:
        return None


def installed_pythons() -> tuple[str, ...]:
    """Return the versions ``X.Y`` of the Pythons that uv finds on this machine, in their order."""
    try:
        rows = json.loads(run_uv("python", "list", "--only-installed", "--output-format", "json"))
    except (UvError, ValueError):
        return ()
    found = {(each["version_parts"]["major"], each["version_parts"]["minor"]) for each in rows}
    return tuple(f"{major}.{minor}" for major, minor in sorted(found))


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
