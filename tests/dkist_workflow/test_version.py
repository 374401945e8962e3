"""The version of workflows that name none."""

from __future__ import annotations

import pytest

from dkist_workflow import Workflow, build_version


def version_of(version: str | None = None) -> str:
    """Return the version of a workflow that names this one, or none."""
    return Workflow("vbi", "main", __name__, version).workflow_version


def test_build_version_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the block a workflow has the block's version, after it that of the environment, without both ``dev``."""
    monkeypatch.setenv("BUILD_VERSION", "1.0.0")
    with build_version("2.0.0"):
        assert version_of() == "2.0.0"
        with build_version(None):
            assert version_of() == "1.0.0"
    assert version_of() == "1.0.0"
    monkeypatch.delenv("BUILD_VERSION")
    assert version_of() == "dev"


def test_a_workflow_may_name_its_own_version() -> None:
    """What a workflow says itself goes before everything else."""
    with build_version("2.0.0"):
        assert version_of("3.0.0") == "3.0.0"
