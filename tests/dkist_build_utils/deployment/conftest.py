"""A dags folder, an archive to deploy, and deployed versions by the hundred, written without an export."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import pytest

from dkist_build_utils import archive, export
from tests.dkist_build_utils.conftest import Install, instrument


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    """Return an empty dags folder."""
    folder = tmp_path / "airflow" / "dags"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def packed(install: Install, offline: Path, tmp_path: Path) -> Path:
    """Return the archive of a release with locks, whose wheels are published and whose tasks need a pool."""
    package = instrument()
    package.write_wheel(offline)
    return archive(export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0"))


def write_version(dags: Path, name: str, pins: Iterable[str] | None, *, hashes: int = 1) -> Path:
    """Write a version with one lock (none for None) and thirty tasks into a dags folder, and return it."""
    distribution, _, version = name.partition("_")
    stated = "".join(f" \\\n    --hash=sha256:{number:064x}" for number in range(hashes))
    lock = "".join(f"{pin}{stated}\n" for pin in pins or ()).encode()
    folder = dags / name
    folder.mkdir()
    dag_id = f"{distribution}_main_{version}"
    tasks = [
        {
            "name": f"Task{number}",
            "entry_point": f"a.tasks:Task{number}",
            "upstreams": [f"Task{number - 1}"] if number else [],
            "queue": "default",
            "pool": None,
            "pip_extras": [],
            "lock": None if pins is None else "requirements.txt",
        }
        for number in range(30)
    ]
    files = {f"{dag_id}.py": b"", "pools.json": b"{}\n"} | ({} if pins is None else {"requirements.txt": lock})
    manifest = {
        "schema": 1,
        "distribution": distribution,
        "version": version,
        "python": "3.11",
        "python_platform": None,
        "files": {file: sha256(content).hexdigest() for file, content in files.items()},
        "locks": {} if pins is None else {"requirements.txt": []},
        "workflows": [{"dag_id": dag_id, "name": "main", "file": f"{dag_id}.py", "tags": [], "tasks": tasks}],
        "made_with": {},
    }
    for file, content in {**files, "manifest.json": json.dumps(manifest).encode()}.items():
        (folder / file).write_bytes(content)
    return folder
