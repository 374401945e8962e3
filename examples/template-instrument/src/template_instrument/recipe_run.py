"""Where the data of a recipe run is. The tasks of a run share nothing else: each may run on another worker."""

from __future__ import annotations

import os
from pathlib import Path

from dkist_task.recipe_run import RecipeRunFolder

DATA_VARIABLE = "TEMPLATE_INSTRUMENT_DATA"
"""The environment variable that names the folder of all recipe runs."""


def folder_of(recipe_run_id: int) -> RecipeRunFolder:
    """Return the folder of a recipe run, in the folder that the variable names; if it is not set, in ``data`` here."""
    if DATA_VARIABLE in os.environ:
        return RecipeRunFolder.from_environment(recipe_run_id, DATA_VARIABLE)
    return RecipeRunFolder(Path("data", str(recipe_run_id)).absolute())
