"""The last step: a picture for a person."""

from __future__ import annotations

import numpy as np
from dkist_task import TaskBase

from template_instrument.recipe_run import new_file, recipe_run_folder

WIDTH, HEIGHT, MARGIN = 600, 300, 20  # pixels


class DrawQuickLook(TaskBase):
    """Draw the mean spectrum. The environment of this task has the extra ``quicklook``."""

    def run(self) -> None:
        """Write the picture."""
        from PIL import Image, ImageDraw  # here, because only the environment of this task has it

        folder = recipe_run_folder(self.recipe_run_id)
        mean = np.load(folder / "level1" / "mean.npy")
        across = np.linspace(MARGIN, WIDTH - MARGIN, len(mean))
        down = np.interp(mean, (0, 1.2), (HEIGHT - MARGIN, MARGIN))
        picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
        with self.telemetry_span("draw"):
            ImageDraw.Draw(picture).line(list(zip(across, down, strict=True)), fill="navy", width=2)
        path = folder / "quicklook" / "spectrum.png"
        with new_file(path) as file:
            picture.save(file, format="PNG")
        print(f"the picture is {path}")
