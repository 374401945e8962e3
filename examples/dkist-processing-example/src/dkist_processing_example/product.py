"""Where a recipe run keeps its products: one folder each, complete or absent.

Tasks of one run share nothing but these folders, so each of them may run on another worker, and be tried again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dkist_processing_example.errors import ConfigurationError, ProductMissingError

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


@dataclass(frozen=True)
class RecipeRunFolder:
    """The products of one recipe run."""

    path: Path
    """The folder that holds a folder for each product."""

    @classmethod
    def from_environment(cls, recipe_run_id: int) -> RecipeRunFolder:
        """Return the folder of a recipe run below ``$DKIST_EXAMPLE_DATA``.

        Raises
        ------
        ConfigurationError
            The variable is not set, or names no absolute path.
        """
        root = os.environ.get(ROOT_VARIABLE, "")
        if not Path(root).is_absolute():
            raise ConfigurationError(
                f"{ROOT_VARIABLE} is {root!r}; set it on the workers to the absolute path of the folder that holds "
                "a folder for each recipe run"
            )
        return cls(Path(root, str(recipe_run_id)))

    def files(self, product: Product, pattern: str = "*.fits") -> tuple[Path, ...]:
        """Return the files of a product, sorted by name.

        Raises
        ------
        ProductMissingError
            There is none.
        """
        found = tuple(sorted((self.path / product).glob(pattern)))
        if not found:
            raise ProductMissingError(
                f"{self.path / product} holds no {pattern}: the task that makes the product {product.value!r} has not "
                "run for this recipe run, or was rolled back; run it first"
            )
        return found

    @contextmanager
    def replacing(self, product: Product) -> Iterator[Path]:
        """Give an empty folder that becomes the product when the block ends, and is dropped when it raises.

        A task that is killed in the block leaves the product as it was; trying it again starts from an empty folder.
        """
        partial, old = self.path / f".{product}.partial", self.path / f".{product}.old"
        _remove(partial)
        partial.mkdir(parents=True)
        try:
            yield partial
        except BaseException:  # also what unwinds a task that was stopped
            _remove(partial)
            raise
        _remove(old)
        if (self.path / product).exists():
            (self.path / product).rename(old)
        partial.rename(self.path / product)
        _remove(old)

    def discard(self, product: Product) -> None:
        """Remove a product, and what a killed task left of it."""
        for name in (product.value, f".{product}.partial", f".{product}.old"):
            _remove(self.path / name)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
