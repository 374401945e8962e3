"""Which installed distribution holds a package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROBE = "import sys, dkist_workflow as w; print(w.distribution_of(sys.argv[1]))"


def make_installed(folder: Path, distribution: str, files: dict[str, str]) -> Path:
    """Put the files of an installed distribution, and its metadata, into a folder that serves as site-packages."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    metadata = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (metadata / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    return folder


def make_editable(site: Path, distribution: str, project: Path) -> None:
    """Put the metadata of an editable installation of a project folder into a site-packages folder."""
    make_installed(site, distribution, {f"_{distribution}.pth": str(project / "src")})
    (site / f"{distribution.replace('-', '_')}-1.0.dist-info" / "direct_url.json").write_text(
        f'{{"url": "{project.as_uri()}", "dir_info": {{"editable": true}}}}'
    )


def probe(package: str, *paths: Path) -> str:
    """Return what a fresh interpreter finds, with further import folders; its error where it finds nothing."""
    program = f"import sys; sys.path[:0] = {[str(path) for path in paths]!r}\n{PROBE}"
    done = subprocess.run([sys.executable, "-c", program, package], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_name_comes_from_metadata_and_not_from_the_import_name(tmp_path: Path) -> None:
    """A distribution may be called something else than its package; its name is normalised."""
    make_installed(tmp_path, "DKIST.Inst_Vbi", {"vbi/__init__.py": "", "vbi/workflows/__init__.py": ""})
    assert probe("vbi", tmp_path) == "dkist-inst-vbi"
    assert probe("vbi.workflows", tmp_path) == "dkist-inst-vbi"


def test_single_module_and_namespace_package_are_found(tmp_path: Path) -> None:
    """Two distributions that share a namespace are distinguished by their files."""
    make_installed(tmp_path, "alpha", {"shared/alpha/__init__.py": ""})
    make_installed(tmp_path, "beta", {"shared/beta/__init__.py": "", "single.py": ""})
    assert probe("shared.alpha", tmp_path) == "alpha"
    assert probe("shared.beta", tmp_path) == "beta"
    assert probe("single", tmp_path) == "beta"


def test_editable_installation_is_found_by_its_project_folder(tmp_path: Path) -> None:
    """An editable installation lists no file of the package; of nested projects the inner one holds it."""
    outer, inner = tmp_path / "outer folder", tmp_path / "outer folder" / "packages" / "inner"
    for project, package in ((outer, "out"), (inner, "inn")):
        (project / "src" / package).mkdir(parents=True)
        (project / "src" / package / "__init__.py").touch()
    make_editable(tmp_path / "site", "outer", outer)
    make_editable(tmp_path / "site", "inner", inner)
    paths = (tmp_path / "site", outer / "src", inner / "src")
    assert probe("out", *paths) == "outer"
    assert probe("inn", *paths) == "inner"


def test_package_inside_an_environment_inside_an_editable_project_is_not_the_projects(tmp_path: Path) -> None:
    """A virtual environment in the project folder holds other distributions."""
    site = make_installed(tmp_path / "project" / ".venv" / "site", "other", {"other/__init__.py": ""})
    make_editable(site, "project", tmp_path / "project")
    assert probe("other", site) == "other"


def test_distribution_that_is_editable_is_found_for_real() -> None:
    """The distributions under test are found as their environment installs them."""
    assert probe("dkist_workflow") == "dkist-workflow"
    assert probe("dkist_task") == "dkist-task"


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("nowhere_installed", "no installed distribution holds the package 'nowhere_installed'; install it"),
        ("no_such_package", "the package 'no_such_package' cannot be imported: there is no such package"),
        ("no_such_package.sub", "the package 'no_such_package.sub' cannot be imported: No module named"),
        ("..", "the package '..' cannot be imported"),
    ],
)
def test_package_of_no_distribution_is_an_error_that_says_what_to_do(
    tmp_path: Path, package: str, message: str
) -> None:
    """A package that is only a folder here has no release that environments could be made from."""
    (tmp_path / "nowhere_installed").mkdir()
    (tmp_path / "nowhere_installed" / "__init__.py").touch()
    assert message in probe(package, tmp_path)


def test_ambiguity_names_the_candidates(tmp_path: Path) -> None:
    """Two distributions that install the same package are both named."""
    make_installed(tmp_path / "a", "alpha", {"vbi/__init__.py": ""})
    make_installed(tmp_path / "a", "beta", {"vbi/__init__.py": ""})
    assert "installed by more than one distribution: alpha, beta; uninstall all but one" in probe("vbi", tmp_path / "a")
