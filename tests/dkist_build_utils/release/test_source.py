"""The commit that a release was made from, by the real git."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, export, find_release
from dkist_build_utils.release.source import Source, source_of, stated_time
from harness.packages import Package
from tests.dkist_build_utils.conftest import Install, contents, instrument


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, without the settings of this machine, and return what it printed."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a project whose sources are committed and imported from where they are."""
    folder = Package("my-instrument", modules={"workflows.main": ""}).write_source(tmp_path / "repository")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    monkeypatch.syspath_prepend(folder / "src")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import_module("my_instrument.workflows")
    yield folder
    for module in [name for name in sys.modules if name.partition(".")[0] == "my_instrument"]:
        del sys.modules[module]


def source(*made: Path) -> Source | None:
    """Return the source of the project."""
    return source_of("my_instrument.workflows", "my-instrument", made)


def test_commit_of_the_package_and_its_state(project: Path) -> None:
    """A changed file and a file that git does not know make a tree that is not clean; what a build makes does not."""
    commit = git(project, "rev-parse", "HEAD")
    assert source() == Source(commit, is_clean=True)
    (project / "release").mkdir()
    (project / "release" / "a.py").write_text("")
    assert source(project / "release") == Source(commit, is_clean=True)
    assert source() == Source(commit, is_clean=False)
    assert source(project, project / "release") == Source(commit, is_clean=True)
    assert source(project) == Source(commit, is_clean=False)
    (project / "release" / "a.py").unlink()
    (project / "src" / "my_instrument" / "new module.py").write_text("")
    assert source(project / "release") == Source(commit, is_clean=False)
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "second")
    assert source() == Source(git(project, "rev-parse", "HEAD"), is_clean=True)
    (project / "pyproject.toml").write_text("")
    assert source() == Source(git(project, "rev-parse", "HEAD"), is_clean=False)


def test_hook_of_another_repository(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a hook, git's variables name the hook's repository; the package's is asked all the same."""
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    found = source()
    monkeypatch.delenv("GIT_DIR")
    assert found == Source(git(project, "rev-parse", "HEAD"), is_clean=True)


def test_wheel_that_a_pipeline_built(project: Path, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is installed in a repository's ignored folder comes from the clone that is worked in."""
    package = instrument()
    name = install(package)
    import_module(f"{name}.workflows")
    monkeypatch.chdir(project)
    assert source_of(f"{name}.workflows", package.name) is None
    (project / "pyproject.toml").write_text(f'[project]\nname = "{package.name.upper()}"\n')
    git(project, "commit", "--quiet", "--all", "--message", "named")
    assert source_of(f"{name}.workflows", package.name) == Source(git(project, "rev-parse", "HEAD"), is_clean=True)


@pytest.mark.usefixtures("project")
def test_without_git_or_repository_there_is_no_commit(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is known, nothing is said."""
    package = instrument()
    name = install(package)
    import_module(name)
    assert source_of(name, package.name) is None
    monkeypatch.setenv("PATH", "/nonexistent")
    assert source() is None


def test_time_is_only_what_the_build_says(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest has a time where SOURCE_DATE_EPOCH gives one, and none otherwise."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    package = f"{install(instrument())}.workflows"
    folder = export(package, tmp_path / "out", version="1.0.0", lock=False)
    assert "made_at" not in json.loads((folder / "manifest.json").read_text())
    before = contents(folder)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    export(package, tmp_path / "out", version="1.0.0", lock=False)
    assert find_release(folder).manifest.provenance.made_at == "2026-01-01T00:00:00Z"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert contents(export(package, tmp_path / "out", version="1.0.0", lock=False)) == before
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(BuildError, match="SOURCE_DATE_EPOCH must be a number of seconds since 1970, not 'yesterday'"):
        stated_time()
