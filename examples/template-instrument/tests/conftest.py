"""The fixtures ``make_task``, ``run_task`` and ``run_workflow``, and a data folder for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from template_instrument.recipe_run import DATA_VARIABLE

pytest_plugins = ["dkist_build_utils.testing"]


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of all recipe runs: a new one for each test."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "data"))
    return tmp_path / "data"
