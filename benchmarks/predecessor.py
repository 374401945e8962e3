"""The predecessor in an environment of its own, installed from the index, to measure it side by side."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from harness.cache import cache_folder
from harness.interpreter import find_interpreter

RELEASE = "7.5.0"
"""The measured release of dkist-processing-core."""
PYTHON = "3.13"
"""The only Python that release runs on."""
NAME = f"dkist-processing-core {RELEASE}"
"""Its name in tables."""


def predecessor_interpreter() -> Path:
    """Return the interpreter of an environment that holds the predecessor, made on the first call (20 s, 500 MB).

    Raises
    ------
    InterpreterMissingError
        This machine has no Python that the release runs on. A benchmark reports that in its rows.
    """
    folder = cache_folder("predecessor") / RELEASE
    interpreter = folder / "bin" / "python"
    complete = folder / ".complete"
    if complete.exists():
        return interpreter
    # Our own constraints are for another Airflow than the one the predecessor pins.
    environ = {key: value for key, value in os.environ.items() if key not in {"UV_CONSTRAINT", "VIRTUAL_ENV"}}
    make = ["uv", "venv", "--quiet", "--clear", "--python", str(find_interpreter(PYTHON)), str(folder)]
    install = ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", str(interpreter)]
    subprocess.run(make, env=environ, check=True)
    subprocess.run([*install, f"dkist-processing-core=={RELEASE}"], env=environ, check=True)
    complete.touch()
    return interpreter
