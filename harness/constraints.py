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
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON]
    # Wheels only, so that an environment needs no compiler. Nothing in the file may name this machine or its index.
    command += ["--no-build", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--custom-compile-command", f"hatch run compat add {minor}", "--output-file", constraints.name]
    command += ["--upgrade"] if is_upgrade else []
    environ = {key: value for key, value in os.environ.items() if key not in {"UV_CONSTRAINT", "VIRTUAL_ENV"}}
    subprocess.run([*command, requirements.name], cwd=FOLDER, env=environ, check=True)
    return constraints
