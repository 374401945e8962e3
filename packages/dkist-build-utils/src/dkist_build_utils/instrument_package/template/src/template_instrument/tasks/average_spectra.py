"""The second step: it reads what the first one wrote."""

from __future__ import annotations

import numpy as np
from dkist_task import TaskBase

from template_instrument.recipe_run import folder_of
from template_instrument.spectrum import line_depth, mean_spectrum


class AverageSpectra(TaskBase):
    """Average the spectra of a recipe run, so that the line stands out of the noise."""

    retries = 1

    def run(self) -> None:
        """Write the mean spectrum, and hand on the depth of its line."""
        folder = folder_of(self.recipe_run_id)
        paths = folder.files("level0", "*.npy")
        for path in paths:
            self.used(path)
        with self.telemetry_span("average", {"spectra": len(paths)}):
            mean = mean_spectrum(np.load(path) for path in paths)
        with folder.replacing("level1") as product:
            np.save(product / "mean.npy", mean)
        self.generated(folder.path / "level1" / "mean.npy")
        folder.constants(self.task_name).set("line_depth", round(line_depth(mean), 3))
