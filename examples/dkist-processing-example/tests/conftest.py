"""A recipe run in a temporary folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dkist_processing_example.product import ROOT_VARIABLE
from dkist_processing_example.tasks.product_task import ProductTask
from dkist_processing_example.tasks.simulate_frames import SIZE_VARIABLE
from dkist_task.recipe_run import RecipeRunFolder

RunTask = Callable[[type[ProductTask]], None]


@pytest.fixture
def recipe_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecipeRunFolder:
    """Return the folder of recipe run 1, where tasks will find it; frames are small."""
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setenv(SIZE_VARIABLE, "64")
    return RecipeRunFolder(tmp_path / "1")


@pytest.fixture
def run_task(recipe_run: RecipeRunFolder) -> RunTask:
    """Return a function that runs a task of that recipe run as the launcher does."""
    recipe_run_id = int(recipe_run.path.name)

    def run(task_class: type[ProductTask]) -> None:
        with task_class(recipe_run_id, workflow_name="example_l0_to_l1", workflow_version="test") as task:
            task()

    return run
