"""The base class of this package's tasks."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from dkist_processing_example.product import Constant, Product, folder_of
from dkist_task import TaskBase
from dkist_task.recipe_run import Constants, RecipeRunFolder

logger = logging.getLogger(__name__)


class ProductTask(TaskBase):
    """A task that makes products of a recipe run, and makes them anew when it is run again.

    A subclass names its `products` and writes each of them in ``with self.folder.replacing(product) as folder:``.
    """

    products: ClassVar[tuple[Product, ...]]
    """The products that the task makes."""
    sets: ClassVar[tuple[Constant, ...]] = ()
    """The constants that the task sets."""

    @cached_property
    def folder(self) -> RecipeRunFolder:
        """The folder of this recipe run."""
        return folder_of(self.recipe_run_id)

    @cached_property
    def constants(self) -> Constants:
        """The constants of this recipe run."""
        return self.folder.constants(self.task_name)

    def inputs(self, product: Product) -> tuple[Path, ...]:
        """Return the files of a product of another task, and declare them as used."""
        paths = self.folder.files(product)
        for path in paths:
            self.used(path, sha256=True)
        return paths

    def pre_run(self) -> None:
        """Stop before any work is done when the workers are not configured."""
        logger.info("Products of recipe run %d are in %s", self.recipe_run_id, self.folder.path)

    def post_run(self) -> None:
        """Count what has been made, and declare it as generated."""
        written = self.meter.create_counter(
            "dkist_example.product.size", unit="By", description="Bytes written for a product."
        )
        for product in self.products:
            paths = self.folder.files(product)
            for path in paths:
                self.generated(path, sha256=True)
            sizes = [path.stat().st_size for path in paths]
            written.add(sum(sizes), {"product": product.value})
            logger.info("%s: %d file(s), %.1f MB", product.value, len(sizes), sum(sizes) / 1e6)

    def rollback(self) -> None:
        """Remove what this task has made, so that the recipe run is as it was before."""
        for product in self.products:
            self.folder.discard(product)
        for constant in self.sets:
            self.constants.discard(constant)
