"""What the run of the client packages does where it cannot run. The run itself is a step of CI."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness import clients
from harness.client_packages import TEST, IndexMissingError, clean_environment
from harness.interpreter import InterpreterMissingError

if TYPE_CHECKING:
    from harness.client_packages import ClientPackage


@pytest.mark.parametrize(
    ("is_ci", "status", "word"), [("true", 1, "FAILED"), ("", 0, "SKIPPED")], ids=["ci", "developer"]
)
@pytest.mark.parametrize("missing", ["python", "index"])
def test_a_missing_need_is_said(
    missing: str,
    is_ci: str,
    status: int,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without Python 3.13 or the index the run says so, and fails in CI only."""

    def find(version: str) -> None:
        if missing == "python":
            raise InterpreterMissingError(version)

    def fetch(package: ClientPackage) -> None:
        raise IndexMissingError(package, "no route to host")

    monkeypatch.setenv("CI", is_ci)
    monkeypatch.setattr(clients, "find_interpreter", find)
    monkeypatch.setattr(clients, "fetch", fetch)
    assert clients.main([]) == status
    said = capsys.readouterr().out
    assert said.startswith(f"{word}: ")
    assert ("Python 3.13 was not found" if missing == "python" else "check that pip reaches the index") in said


def test_mesh_names_each_service() -> None:
    """Clients find a service by its name in the configuration."""
    assert json.loads(clients.mesh_config({"gateway": 81})) == {
        "gateway": {"mesh_address": "127.0.0.1", "mesh_port": 81}
    }


def test_copies_have_a_version() -> None:
    """A build back end that asks git finds the version in a variable of the package."""
    assert TEST.version_variable == "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_DKIST_PROCESSING_TEST"


def test_own_environment_does_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constraints of the project's own environment do not reach that of a client."""
    monkeypatch.setenv("UV_CONSTRAINT", "airflow.txt")
    assert "UV_CONSTRAINT" not in clean_environment({"A": "b"})
    assert clean_environment({"A": "b"})["A"] == "b"
