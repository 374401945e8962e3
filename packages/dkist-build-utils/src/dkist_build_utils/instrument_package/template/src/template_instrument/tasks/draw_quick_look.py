"""The last step: a picture for a person."""

from __future__ import annotations

import numpy as np
from dkist_task import TaskBase

from template_instrument.recipe_run import folder_of

WIDTH, HEIGHT, MARGIN = 600, 300, 20  # pixels


class DrawQuickLook(TaskBase):
    """Draw the mean spectrum. The environment of this task has the extra ``quicklook``."""

    def run(self) -> None:
        """Write the picture."""
        from PIL import Image, ImageDraw  # here, because only the environment of this task has it

        folder = folder_of(self.recipe_run_id)
        (path,) = folder.files("level1", "mean.npy")
        self.used(path)
        mean = np.load(path)
        across = np.linspace(MARGIN, WIDTH - MARGIN, len(mean))
        down = np.interp(mean, (0, 1.2), (HEIGHT - MARGIN, MARGIN))
        picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
        draw = ImageDraw.Draw(picture)
        with self.telemetry_span("draw"):
            draw.line(list(zip(across, down, strict=True)), fill="navy", width=2)
            depth = folder.constants(self.task_name)["line_depth"]  # found by another task
            draw.text((MARGIN, MARGIN), f"recipe run {self.recipe_run_id}: line depth {depth}", fill="black")
        with folder.replacing("quicklook") as product:
            picture.save(product / "spectrum.png")
        self.generated(folder.path / "quicklook" / "spectrum.png")
        print(f"the picture is {folder.path / 'quicklook' / 'spectrum.png'}")
