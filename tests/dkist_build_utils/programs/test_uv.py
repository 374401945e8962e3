"""uv runs with the settings that may decide about a release, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from dkist_build_utils import export
from dkist_build_utils.errors import UvError
from dkist_build_utils.programs import clean_environment, run_uv
from tests.dkist_build_utils.conftest import ONE_LOCK, Install, instrument


def test_settings_of_the_user_do_not_get_into_a_lock(
    install: Install, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of uv that write addresses into a lock, and those of a project at hand, have no effect."""
    settings = tmp_path / "uv.toml"
    settings.write_text("[pip]\nemit-index-url = true\nemit-find-links = true\nemit-build-options = true\n")
    monkeypatch.setenv("UV_CONFIG_FILE", str(settings))
    project = tmp_path / "project"
    project.mkdir()
    (project / "uv.toml").write_text('constraint-dependencies = ["opentelemetry-api<1.0"]\n')
    monkeypatch.chdir(project)
    package = instrument(**ONE_LOCK)
    package.write_wheel(wheels)
    folder = export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0", find_links=[wheels])
    assert "://" not in (folder / "requirements.txt").read_text()
    assert str(tmp_path) not in (folder / "requirements.txt").read_text()


def test_only_settings_that_say_where_packages_come_from_reach_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes with their credentials pass; constraints, other environments and Python's own variables do not."""
    passed = {"UV_INDEX", "UV_INDEX_DKIST_PASSWORD", "UV_FIND_LINKS", "UV_CACHE_DIR", "SSL_CERT_FILE"}
    dropped = {"UV_CONSTRAINT", "UV_OVERRIDE", "VIRTUAL_ENV", "PYTHONPATH"}
    for name in passed | dropped:
        monkeypatch.setenv(name, "x")
    environment = clean_environment()
    assert passed <= environment.keys()
    assert not dropped & environment.keys()


@pytest.mark.usefixtures("offline")
def test_folders_of_wheels_count_beside_those_of_the_environment(install: Install, tmp_path: Path) -> None:
    """An export takes wheels from --find-links and from UV_FIND_LINKS, although the option hides the variable."""
    package = instrument(**ONE_LOCK)
    package.write_wheel(tmp_path / "own")
    folder = export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0", find_links=[tmp_path / "own"])
    lock = (folder / "requirements.txt").read_text()
    assert f"{package.name}==1.0.0" in lock
    assert "dkist-task==0.1.0" in lock


def test_failure_has_uvs_own_words() -> None:
    """The message is uv's error without warnings and progress."""
    with pytest.raises(UvError, match="a==b==c") as caught:
        run_uv("pip", "compile", "-", standard_input="a==b==c\n")
    assert not str(caught.value).startswith(("error", "warning", "Using"))
