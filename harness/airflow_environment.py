"""Bare Airflow environments: Airflow and ``uv``, as on a worker host, and no distribution of ours."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cache import cache_folder
from harness.interpreter import find_interpreter

if TYPE_CHECKING:
    from collections.abc import Sequence

CONSTRAINTS = Path(__file__).parents[1] / "constraints"


def airflow_environment(
    requirements: Sequence[str] = (),
    *,
    airflow: str = "3.3",
    python: str = "3.11",
    constraints: Path | None = None,
) -> Path:
    """Return the interpreter of an environment that has Airflow and ``uv``; made once per machine.

    Several processes may call this at once: one makes the environment, the others wait. Do not install into it: it is
    shared.

    Parameters
    ----------
    requirements : Sequence[str], optional
        What to install beside Airflow and ``uv``: a provider, a wheel's path.
    airflow : str, optional
        Minor version; there must be a constraints file for it, or one is given.
    python : str, optional
        Minor version of the interpreter.
    constraints : Path, optional
        File of the versions to install; None for the one that is committed.

    Raises
    ------
    RuntimeError
        The environment cannot be made. The message has uv's own.
    """
    constraints = constraints or CONSTRAINTS / f"airflow-{airflow}.txt"
    wanted = ["apache-airflow", "uv", *requirements]
    content = [constraints.read_text(), python, *(f"{each}:{_digest(each)}" for each in wanted)]
    key = hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]
    folder = cache_folder("airflow") / f"{airflow}-py{python}-{key}"
    interpreter = folder / "bin" / "python"
    marker = folder / ".complete"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _uv("venv", "--quiet", "--python", str(find_interpreter(python)), str(folder))
            install = ["pip", "install", "--quiet", "--compile-bytecode", "--python", str(interpreter)]
            _uv(*install, "--constraint", str(constraints), *wanted)
            marker.touch()
    return interpreter


def _digest(requirement: str) -> str:
    """Return the digest of a requirement that is a file: a rebuilt wheel then gets another environment."""
    path = Path(requirement)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _uv(*arguments: str) -> None:
    env = {name: value for name, value in os.environ.items() if name not in {"UV_CONSTRAINT", "VIRTUAL_ENV"}}
    done = subprocess.run(["uv", *arguments], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"uv {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
