"""The first task: level-0 frames."""

from __future__ import annotations

import os
from typing import ClassVar

import numpy as np

from dkist_processing_example.camera import simulated_camera
from dkist_processing_example.errors import ConfigurationError
from dkist_processing_example.frame import FrameKind
from dkist_processing_example.product import Constant, Product
from dkist_processing_example.tasks.product_task import ProductTask

SIZE_VARIABLE = "DKIST_EXAMPLE_FRAME_SIZE"
"""The environment variable that sets the pixels along an edge of a frame."""
_SIZES = range(16, 4097)


class SimulateFrames(ProductTask):
    """Make the frames of a recipe run up, where a real pipeline transfers them from the summit.

    The number of the recipe run seeds them: the same run has the same frames.
    """

    products = (Product.LEVEL_0,)
    sets = (Constant.OBSERVATION_COUNT,)
    counts: ClassVar[dict[FrameKind, int]] = {FrameKind.DARK: 8, FrameKind.GAIN: 8, FrameKind.OBSERVE: 6}

    def run(self) -> None:
        """Write darks, gains and observations of one simulated camera."""
        # Imported here: a workflow module imports this one where the extra is not installed.
        from dkist_processing_example.level0 import write_level_0

        random = np.random.default_rng(self.recipe_run_id)
        camera = simulated_camera(frame_size(), random)
        with self.folder.replacing(Product.LEVEL_0) as folder:
            for kind, count in self.counts.items():
                with self.telemetry_span("take frames", {"kind": kind.value, "count": count}):
                    write_level_0(folder, camera, kind, count, random)
        self.constants.set(Constant.OBSERVATION_COUNT, self.counts[FrameKind.OBSERVE])


def frame_size() -> int:
    """Return ``$DKIST_EXAMPLE_FRAME_SIZE``, or 256.

    Raises
    ------
    ConfigurationError
        The variable is not a whole number of a sensible size.
    """
    text = os.environ.get(SIZE_VARIABLE, "256")
    if not (text.isascii() and text.isdigit() and int(text) in _SIZES):
        raise ConfigurationError(
            f"{SIZE_VARIABLE} is {text!r}; set it to a whole number from {_SIZES.start} to {_SIZES.stop - 1}"
        )
    return int(text)
