"""The products of a recipe run, and where they are kept.

`dkist_task.recipe_run` keeps them: one folder each, complete or absent.
"""

from __future__ import annotations

from enum import StrEnum

from dkist_task.recipe_run import RecipeRunFolder

ROOT_VARIABLE = "DKIST_EXAMPLE_DATA"
"""The environment variable that names the folder of all recipe runs."""


class Product(StrEnum):
    """What the tasks of a recipe run hand on; the value is the name of its folder."""

    LEVEL_0 = "level0"
    """Camera frames as they come from the summit (spec 122)."""
    MEAN_DARK = "mean_dark"
    """The mean of the frames taken without light."""
    MEAN_GAIN = "mean_gain"
    """The mean of the frames taken of a uniform source."""
    GAIN = "gain"
    """The relative response of each pixel."""
    LEVEL_1 = "level1"
    """Calibrated images."""
    QUICK_LOOK = "quicklook"
    """A picture for a person."""
    QUALITY = "quality"
    """The quality report, for a person and for a program."""


class Constant(StrEnum):
    """The values that one task finds and later tasks read; the value is the constant's name."""

    OBSERVATION_COUNT = "observation_count"
    """How many frames of the recipe run observe: so many level-1 images it must have."""


def folder_of(recipe_run_id: int) -> RecipeRunFolder:
    """Return the folder of a recipe run below ``$DKIST_EXAMPLE_DATA``; DataFolderError if that is not set."""
    return RecipeRunFolder.from_environment(recipe_run_id, ROOT_VARIABLE)
