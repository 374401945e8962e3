"""Where the wheels of this project are while they are on no index."""

from __future__ import annotations

from pathlib import Path

import pytest

from dkist_build_utils import BuildError
from dkist_build_utils.instrument_package import folder_of_wheels, is_installed_from_index


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Return a folder that holds a wheel of dkist-task."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "dkist_task-0.1.0-py3-none-any.whl").touch()
    return folder


def test_the_folder_that_is_given_is_taken(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller names goes before the setting."""
    monkeypatch.setenv("UV_FIND_LINKS", "/nowhere")
    assert folder_of_wheels(wheels) == wheels


def test_a_folder_without_the_wheel_is_refused(tmp_path: Path) -> None:
    """The message says which wheel is missing and how to build it."""
    with pytest.raises(BuildError, match="holds no wheel of dkist-task; build it with 'uv build"):
        folder_of_wheels(tmp_path)


def test_the_folder_is_found_in_the_setting_of_uv(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first folder of UV_FIND_LINKS that holds the wheel is taken; others are passed over."""
    monkeypatch.setenv("UV_FIND_LINKS", f"https://127.0.0.1/wheels, {wheels.parent},{wheels}")
    assert folder_of_wheels(None) == wheels
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels.parent))
    assert folder_of_wheels(None) is None
    monkeypatch.delenv("UV_FIND_LINKS")
    assert folder_of_wheels(None) is None


def test_an_editable_installation_is_not_from_an_index() -> None:
    """The environments of this project have dkist-task from its folder."""
    assert not is_installed_from_index()
