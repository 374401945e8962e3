"""The constraints files: for each minor version of Airflow, versions of everything with which it runs."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "constraints"
OLDEST_PYTHON = "3.11"
"""The files are for this Python and every newer one that Airflow supports; uv writes markers where they differ."""

_INPUT = """\
apache-airflow~={minor}.0
# The distributed run: Celery, and Airflow's metadata in PostgreSQL.
apache-airflow-providers-celery
apache-airflow-providers-standard
asyncpg
psycopg2-binary
"""


def airflow_minors() -> list[str]:
    """Return the minor versions of Airflow that have a constraints file, oldest first."""
    found = [path.stem.removeprefix("airflow-") for path in FOLDER.glob("airflow-*.txt")]
    return sorted(found, key=lambda minor: [int(part) for part in minor.split(".")])


def write_constraints(minor: str, *, is_upgrade: bool = False) -> Path:
    """Resolve the constraints file of a minor version of Airflow, and return its path.

    Its input, ``airflow-<minor>.in``, is written if it is missing. It also holds caps that Airflow itself lacks, each
    with its reason. Versions in an existing file are kept, unless `is_upgrade`.

    Raises
    ------
    ValueError
        The version is not ``X.Y``.
    subprocess.CalledProcessError
        There is no solution. uv has printed why.
    """
    if not re.fullmatch(r"\d+\.\d+", minor):
        raise ValueError(f"{minor!r} is not a minor version of Airflow such as 3.4")
    requirements, constraints = FOLDER / f"airflow-{minor}.in", FOLDER / f"airflow-{minor}.txt"
    if not requirements.exists():
        requirements.write_text(_INPUT.format(minor=minor))
    options = ["--custom-compile-command", f"hatch run compat add {minor}", *(["--upgrade"] if is_upgrade else [])]
    _compile(requirements, constraints, *options)
    return constraints


def preview_minor() -> str:
    """Return the minor version of Airflow that comes after those with a constraints file."""
    major, minor = airflow_minors()[-1].split(".")
    return f"{major}.{int(minor) + 1}"


def write_preview_constraints(folder: Path) -> Path:
    """Resolve the newest pre-release of the next Airflow, and return the path of its constraints in a folder.

    They are not kept: the next pre-release wants others.

    Raises
    ------
    subprocess.CalledProcessError
        There is none, or no solution; uv has said which.
    """
    minor = preview_minor()
    requirements, constraints = folder / f"airflow-{minor}.in", folder / f"airflow-{minor}.txt"
    # A version that names a pre-release is what makes uv consider those of this distribution, and of no other.
    requirements.write_text(_INPUT.format(minor=minor).replace(f"~={minor}.0", f"~={minor}.0a1"))
    _compile(requirements, constraints)
    return constraints


def _compile(requirements: Path, constraints: Path, *options: str) -> None:
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON]
    # Wheels only, so that an environment needs no compiler. Nothing in the file may name this machine or its index.
    command += ["--no-build", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    command += [*options, "--output-file", constraints.name, requirements.name]
    environ = {key: value for key, value in os.environ.items() if key not in {"UV_CONSTRAINT", "VIRTUAL_ENV"}}
    subprocess.run(command, cwd=requirements.parent, env=environ, check=True)
