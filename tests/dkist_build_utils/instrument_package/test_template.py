"""The files of a new package."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # comes with Airflow, its types do not

from dkist_build_utils import BuildError
from dkist_build_utils.instrument_package import PackageName, files_of
from harness.packages import ROOT


def test_the_example_is_what_new_makes() -> None:
    """Every file of the template instrument has the text that a new package of that name has."""
    example = ROOT / "examples" / "template-instrument"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."],
        cwd=example,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    files = {path: (example / path).read_text("utf-8") for path in listed if (example / path).exists()}
    assert files == files_of(PackageName("template-instrument"))


@pytest.mark.parametrize("find_links", [None, Path("/srv/wheels")])
def test_nothing_of_the_template_stays(find_links: Path | None) -> None:
    """No file, in its path or its text, has the template's name or the sign for the folder of wheels."""
    for path, text in files_of(PackageName("visp-l0"), find_links).items():
        for word in ("template", "TEMPLATE", "FIND_LINKS_FOLDER"):
            assert word not in path + text, path


def test_the_folder_of_wheels_is_written_where_it_is_needed() -> None:
    """README and CI file set it for uv; no other file has a path of this machine."""
    files = files_of(PackageName("visp-l0"), Path("/srv/wheels"))
    assert {path for path, text in files.items() if "/srv/wheels" in text} == {"README.md", ".github/workflows/ci.yml"}
    assert "\nexport UV_FIND_LINKS=/srv/wheels #" in files["README.md"]
    (job,) = yaml.safe_load(files[".github/workflows/ci.yml"])["jobs"].values()
    assert job["env"] == {"PYTHON": "3.11", "UV_FIND_LINKS": "/srv/wheels"}


@pytest.mark.parametrize("folder", ["/srv/my wheels", "/srv/a,b", "/srv/$HOME", "/srv/it's"])
def test_a_folder_that_would_have_to_be_quoted_is_refused(folder: str) -> None:
    """A path that a shell, YAML or uv would read as something else is named in the message."""
    with pytest.raises(BuildError, match="has a space or another character"):
        files_of(PackageName("visp-l0"), Path(folder))


@pytest.mark.parametrize("name", ["a", "visp-l0", "z" * 50, "-".join("abcdefgh" * 3)])
def test_lint_passes_whatever_the_name_is(name: str, tmp_path: Path) -> None:
    """A short name, a long one, and one that sorts first or last: the package's own rules and format hold."""
    for path, text in files_of(PackageName(name)).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    assert project["name"] == name
