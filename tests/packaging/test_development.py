"""The environment of a developer can be built: ours, Airflow and a client with the versions that clients pin."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What the clients of today pin, where it is not what Airflow is tested with.
CLIENT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "my-client"
version = "1.0.0"
dependencies = [
  "dkist-task",
  "opentelemetry-api==1.45.1",
  "opentelemetry-exporter-otlp==1.45.1",
  "opentelemetry-instrumentation-redis==0.66b1",
  "python-dateutil==2.9.0.post0",
  "redis==6.4.0",
  "tenacity==8.5.0",
]
[project.optional-dependencies]
workflow = ["dkist-workflow"]
[tool.hatch.build.targets.wheel]
bypass-selection = true
"""


def dry_run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Resolve the environment of the guide from the folders of this clone, and install nothing."""
    client = folder / "my-client"
    client.mkdir(exist_ok=True)
    (client / "pyproject.toml").write_text(CLIENT)
    environment = {key: value for key, value in os.environ.items() if key not in {"UV_CONSTRAINT", "VIRTUAL_ENV"}}
    venv = ["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(folder / "venv")]
    subprocess.run(venv, env=environment, check=True)
    packages = ROOT / "packages"
    ours = [packages / name for name in ("dkist-task", "dkist-workflow", "dkist-build-utils")]
    wanted = [*map(str, ours), f"{packages / 'dkist-airflow-node'}[airflow]", f"{client}[workflow]"]
    command = ["uv", "pip", "install", "--dry-run", "--python", str(folder / "venv"), *options, *wanted]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_client_and_airflow_fit_into_one_environment(tmp_path: Path) -> None:
    """The line of the guide resolves with what clients pin, to an Airflow that can load a DAG."""
    done = dry_run(tmp_path)
    assert done.returncode == 0, done.stderr
    for pinned in ("redis==6.4.0", "tenacity==8.5.0", "python-dateutil==2.9.0.post0", "opentelemetry-api==1.45.1"):
        assert f"+ {pinned}" in done.stderr
    assert re.search(r"\+ apache-airflow==3\.", done.stderr), done.stderr


def test_versions_for_running_airflow_do_not_fit(tmp_path: Path) -> None:
    """The reason for the guide's advice still holds; where it no longer does, the advice can go."""
    done = dry_run(tmp_path, "--constraint", str(ROOT / "constraints" / "airflow-3.3.txt"))
    assert done.returncode != 0
    assert "No solution found" in done.stderr


@pytest.mark.parametrize("document", ["README.md", "docs/how-to/migrate-from-dkist-processing-core.md"])
def test_no_document_constrains_where_packages_are_developed(document: str) -> None:
    """A line that installs an instrument package names no constraints; one that names them installs Airflow alone."""
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip().startswith("uv pip install")]
    assert [line for line in lines if "--constraint" in line and "--editable" in line] == []
