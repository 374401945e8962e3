"""The first step."""

from __future__ import annotations

import numpy as np
from dkist_task import TaskBase

from template_instrument.recipe_run import new_file, recipe_run_folder
from template_instrument.spectrum import simulated_spectrum

SPECTRA = 20


class SimulateSpectra(TaskBase):
    """Simulate the spectra of a recipe run."""

    retries = 2  # a failed task is tried again twice
    retry_delay_seconds = 10
    timeout_seconds = 600  # then it is stopped, and has failed

    def run(self) -> None:
        """Write each spectrum to a file of its own."""
        folder = recipe_run_folder(self.recipe_run_id) / "level0"
        with self.telemetry_span("simulate"):  # its time is in the trace and in the timeline
            for number in range(SPECTRA):
                with new_file(folder / f"spectrum_{number:02}.npy") as file:
                    np.save(file, simulated_spectrum(seed=1000 * self.recipe_run_id + number))
        print(f"{SPECTRA} spectra are in {folder}")
