"""What the tasks of a recipe run hand on: products in folders, and constants.

Nothing here is imported by `dkist_task` itself: only a task that uses it pays for it.
"""

from __future__ import annotations

from dkist_task.errors import (
    ConstantError,
    ConstantMissingError,
    DataFolderError,
    ProductMissingError,
    ProductSupersededError,
    RecipeRunError,
)
from dkist_task.recipe_run.constants import Constants
from dkist_task.recipe_run.folder import FOLDER_VARIABLE, RecipeRunFolder

__all__ = [
    "FOLDER_VARIABLE",
    "ConstantError",
    "ConstantMissingError",
    "Constants",
    "DataFolderError",
    "ProductMissingError",
    "ProductSupersededError",
    "RecipeRunError",
    "RecipeRunFolder",
]
