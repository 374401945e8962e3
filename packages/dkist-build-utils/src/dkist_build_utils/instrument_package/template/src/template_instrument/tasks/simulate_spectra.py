"""The first step."""

from __future__ import annotations

import numpy as np
from dkist_task import TaskBase

from template_instrument.recipe_run import folder_of
from template_instrument.spectrum import simulated_spectrum

SPECTRA = 20


class SimulateSpectra(TaskBase):
    """Simulate the spectra of a recipe run."""

    retries = 2  # a failed task is tried again twice
    retry_delay_seconds = 10
    timeout_seconds = 600  # then it is stopped, and has failed

    def run(self) -> None:
        """Write each spectrum to a file of its own."""
        folder = folder_of(self.recipe_run_id)
        # The span's time is in the timeline. The product is there when the block ends, or not at all.
        with self.telemetry_span("simulate"), folder.replacing("level0") as product:
            for number in range(SPECTRA):
                spectrum = simulated_spectrum(seed=1000 * self.recipe_run_id + number)
                np.save(product / f"spectrum_{number:02}.npy", spectrum)
        for path in folder.files("level0"):
            self.generated(path)  # for the record of the run
        print(f"{SPECTRA} spectra are in {folder.path / 'level0'}")
