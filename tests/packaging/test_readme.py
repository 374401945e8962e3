"""The README is true: who follows it has an instrument package that runs in Airflow."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.airflow import PrivateAirflow

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with what the README's commands use of a clone."""
    for name in ("packages", "constraints"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def section(title: str) -> str:
    """Return the text of a section of the README."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_instrument_package_written_from_the_readme_runs_in_airflow(clone: Path) -> None:
    """Write the files, run the commands, trigger the DAG: nothing else is needed."""
    text = section("Write your own instrument package")
    files = re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert [name.rpartition("/")[2] for name, _ in files] == [
        "pyproject.toml",
        "__init__.py",
        "tasks.py",
        "workflows.py",
    ]
    for name, content in files:
        path = clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    commands = "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    ours = {"VIRTUAL_ENV", "UV_CONSTRAINT", "PYTHONPATH", "BUILD_VERSION"}
    environment = {key: value for key, value in os.environ.items() if key not in ours}
    command = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "recipe run 7: noise of" in done.stdout

    airflow_python = clone / "airflow-env" / "bin" / "python"
    store = {"DKIST_ENVIRONMENT_STORE": str(clone / "store"), "UV_FIND_LINKS": str(clone / "dist")}
    with PrivateAirflow(clone / "airflow", python=airflow_python, env=store) as airflow:
        airflow.wait_for_dag("my_noise_1.0.0")
        run = airflow.trigger("my_noise_1.0.0", recipe_run_id=42)
        assert airflow.wait_for_run("my_noise_1.0.0", run, timeout=300) == "success", airflow.logs(
            "my_noise_1.0.0", run
        )
        assert "recipe run 42: noise of" in airflow.task_log("my_noise_1.0.0", run, "MakeFrame")
        assert "Report of my_noise 1.0.0" in airflow.task_log("my_noise_1.0.0", run, "Report")


def test_every_link_leads_somewhere() -> None:
    """A document that is linked to is there."""
    documents = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("packages/*/README.md"),
        *ROOT.glob("docs/**/*.md"),
    ]
    missing = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
        if not (document.parent / target).exists()
    ]
    assert missing == []
