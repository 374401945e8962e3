"""Each task makes what the next one reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from dkist_build_utils.testing import TaskRun
from dkist_task.recipe_run import ProductMissingError

from template_instrument.tasks.average_spectra import AverageSpectra
from template_instrument.tasks.draw_quick_look import DrawQuickLook
from template_instrument.tasks.simulate_spectra import SPECTRA, SimulateSpectra

RunTask = Callable[..., TaskRun]


def test_spectra_are_averaged(run_task: RunTask, data_folder: Path) -> None:
    """The second task finds all spectra of the first one; the span says how many there were."""
    assert run_task(SimulateSpectra, recipe_run_id=7).result == "success"
    run = run_task(AverageSpectra, recipe_run_id=7)
    assert run.result == "success", run.error
    attributes = run.span("average").attributes
    assert attributes is not None
    assert attributes["spectra"] == SPECTRA
    assert np.load(data_folder / "7" / "level1" / "mean.npy").shape == (200,)


def test_without_spectra_the_task_fails(run_task: RunTask) -> None:
    """A recipe run that has no data is reported, not averaged to nothing."""
    run = run_task(AverageSpectra)
    assert run.result == "failure"
    assert isinstance(run.error, ProductMissingError)


def test_the_picture_is_drawn(run_task: RunTask, data_folder: Path) -> None:
    """The last task writes a PNG file."""
    for task in (SimulateSpectra, AverageSpectra, DrawQuickLook):
        assert run_task(task, recipe_run_id=3).result == "success"
    assert (data_folder / "3" / "quicklook" / "spectrum.png").read_bytes().startswith(b"\x89PNG")
