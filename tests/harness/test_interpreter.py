"""Interpreters are found by running them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.interpreter import InterpreterMissingError, find_interpreter


def program(folder: Path, name: str, text: str) -> Path:
    """Return a program that stands on PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder outside of which no interpreter is looked for."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:{tmp_path / 'bin'}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def test_shim_that_fails_is_passed_over(only: Path) -> None:
    """A pyenv shim of a version that is not selected is passed over."""
    program(only / "shims", "python3.99", "echo 'command not found' >&2; exit 127")
    wanted = program(only / "bin", "python3.99", "echo 3.99")
    assert find_interpreter("3.99") == wanted


def test_interpreter_that_reports_another_version_is_passed_over(only: Path) -> None:
    """A program of the right name that is another version is passed over."""
    program(only / "bin", "python3.99", "echo 3.98")
    with pytest.raises(InterpreterMissingError, match=r"Python 3\.99 was not found"):
        find_interpreter("3.99")


def test_pyenv_version_that_is_not_selected_is_found(only: Path) -> None:
    """Interpreters that pyenv has installed are found without its shims."""
    wanted = program(only / "pyenv" / "versions" / "3.99.1" / "bin", "python3.99", "echo 3.99")
    assert find_interpreter("3.99") == wanted


@pytest.mark.usefixtures("only")
def test_missing_interpreter_is_told_with_what_to_do() -> None:
    """The message names the version and how to fix it."""
    with pytest.raises(InterpreterMissingError, match=r"install it \(pyenv install 3\.99\) or put the folder"):
        find_interpreter("3.99")
