"""The second step: it reads what the first one wrote."""

from __future__ import annotations

import numpy as np
from dkist_task import TaskBase

from template_instrument.recipe_run import new_file, recipe_run_folder
from template_instrument.spectrum import line_depth, mean_spectrum


class AverageSpectra(TaskBase):
    """Average the spectra of a recipe run, so that the line stands out of the noise."""

    retries = 1

    def run(self) -> None:
        """Write the mean spectrum."""
        folder = recipe_run_folder(self.recipe_run_id)
        paths = sorted((folder / "level0").glob("*.npy"))
        with self.telemetry_span("average", {"spectra": len(paths)}):
            mean = mean_spectrum(np.load(path) for path in paths)
        with new_file(folder / "level1" / "mean.npy") as file:
            np.save(file, mean)
        print(f"the line of {len(paths)} spectra is {line_depth(mean):.2f} deep")
