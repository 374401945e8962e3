"""A new instrument package, made and used as its author and its CI do: in fresh environments, with installed wheels."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # comes with Airflow, its types do not

from harness.packages import OWN_PROJECTS, build_wheels

NOT_OURS = ("VIRTUAL_ENV", "UV_CONSTRAINT", "UV_FIND_LINKS", "PYTHONPATH", "BUILD_VERSION", "PYTEST_ADDOPTS")
"""Variables of the environment that runs these tests, which an author's shell does not have."""


@dataclass(frozen=True)
class Author:
    """A person who has installed dkist-build-utils in an environment of their own."""

    environment: Path
    """The environment."""
    folder: Path
    """Their working folder."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What they have set in their shell."""

    def run(self, *command: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command with the environment activated."""
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
        path = f"{self.environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [str(part) for part in command],
            cwd=folder or self.folder,
            env={**inherited, "VIRTUAL_ENV": str(self.environment), "PATH": path, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def shell(self, script: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run lines of a shell, and expect that each of them succeeds."""
        done = self.run("bash", "-euo", "pipefail", "-c", script, folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheels of this project, which are on no index."""
    folder = tmp_path_factory.mktemp("wheels")
    build_wheels(folder, OWN_PROJECTS)
    return folder


@pytest.fixture
def author(tmp_path: Path, wheels: Path) -> Author:
    """Return an author whose working folder is the clone of a project with pytest and ruff settings of its own."""
    environment = tmp_path / "environment"
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\naddopts = ["--no-such-option"]\n[tool.ruff.lint]\nselect = ["ALL"]\n'
    )
    (clone / "conftest.py").write_text('raise RuntimeError("the conftest.py of the clone was read")\n')
    person = Author(environment, clone)
    person.run("uv", "venv", "--quiet", "--python", sys.executable, environment)
    person.shell(f"uv pip install --quiet --find-links {shlex.quote(str(wheels))} dkist-build-utils")
    return person


def test_the_three_commands_install_test_and_run_it(author: Author, wheels: Path) -> None:
    """What the command prints works at once, inside another project and before our wheels are on an index."""
    done = author.run("dkist-build", "new", "visp-l0", "--find-links", wheels)
    assert (done.returncode, done.stdout) == (0, "visp-l0\n"), done.stderr
    steps = [line.removeprefix("  ") for line in done.stderr.splitlines() if line.startswith("  ")]
    assert len(steps) == 3
    ran = author.shell("\n".join([*steps, "ruff check --no-cache .", "ruff format --check --no-cache ."]))
    assert re.search(r"\b\d+ passed\b", ran.stdout), ran.stdout
    assert "rootdir: " + str(author.folder / "visp-l0") in ran.stdout
    assert re.search(r"^DrawQuickLook +success ", ran.stdout, re.MULTILINE)
    assert (author.folder / "visp-l0" / "data" / "1" / "quicklook" / "spectrum.png").exists()
    spans = author.run("dkist-build", "graph", "visp_l0.workflows", folder=author.folder / "visp-l0")
    assert "AverageSpectra" in spans.stdout


def test_its_readme_is_true(author: Author, wheels: Path) -> None:
    """Each command of the new README, in its order, in the environment that it makes, comes to an archive."""
    author.shell(f"dkist-build new visp-l0 --find-links {shlex.quote(str(wheels))}")
    package = author.folder / "visp-l0"
    blocks = re.findall(r"^```sh\n(.*?)^```$", (package / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    author.shell("".join(blocks), folder=package)
    assert (package / "release" / "visp-l0_0.1.0.tar.gz").exists()


def test_its_ci_file_comes_to_an_archive(author: Author, wheels: Path) -> None:
    """Each step of the CI file, in its order and in a shell of its own, succeeds."""
    author.shell(f"dkist-build new visp-l0 --find-links {shlex.quote(str(wheels))}")
    package = author.folder / "visp-l0"
    (job,) = yaml.safe_load((package / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    programs = author.folder / "programs"
    programs.mkdir()
    # An image has its own pip; the author's environment has none, and has uv.
    (programs / "pip").write_text('#!/bin/sh\ntest "$*" = "install --quiet uv"\n')
    (programs / "pip").chmod(0o755)
    path = os.pathsep.join([str(programs), str(author.environment / "bin"), os.environ["PATH"]])
    runner = Author(author.environment, package, {**job["env"], "PATH": path})
    for step in job["steps"]:
        if "run" in step:
            runner.shell(step["run"])
    assert [step["name"] for step in job["steps"] if "run" in step] == [
        "install",
        "lint",
        "validate",
        "test",
        "build the wheel",
        "export",
        "archive",
    ]
    assert (package / "release" / "visp-l0_0.1.0.tar.gz").exists()


def test_an_environment_that_is_not_active_is_entered_first(author: Author) -> None:
    """The first command activates the environment of dkist-build where the shell has not done so."""
    done = Author(Path("/elsewhere"), author.folder).run(author.environment / "bin" / "dkist-build", "new", "visp-l0")
    assert f"  . {author.environment}/bin/activate && cd visp-l0 && uv pip install" in done.stderr


def test_a_name_or_a_folder_that_is_taken_is_refused(author: Author) -> None:
    """One line says what is wrong; exit status 1; nothing is written."""
    before = sorted(author.folder.iterdir())
    for name, reason in (("json", "standard library"), ("click", "an installed module"), ("Visp", "'visp' would do")):
        done = author.run("dkist-build", "new", name)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert reason in done.stderr
    assert sorted(author.folder.iterdir()) == before
    (author.folder / "visp-l0").mkdir()
    (author.folder / "visp-l0" / "notes").touch()
    done = author.run("dkist-build", "new", "visp-l0")
    assert done.returncode == 1
    assert "is there and not empty" in done.stderr
    assert [path.name for path in (author.folder / "visp-l0").iterdir()] == ["notes"]
