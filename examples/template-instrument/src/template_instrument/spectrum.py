"""The science: arrays in, arrays out. Nothing here knows a file or a task."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

PIXELS = 200
LINE_DEPTH = 0.6
LINE_WIDTH = 8.0  # pixels
NOISE = 0.05  # standard deviation, where the continuum is 1


def simulated_spectrum(seed: int) -> NDArray[np.float64]:
    """Return an absorption line in a continuum of 1, with noise; the same seed gives the same spectrum."""
    offset = np.arange(PIXELS) - PIXELS / 2
    line = 1 - LINE_DEPTH * np.exp(-((offset / LINE_WIDTH) ** 2) / 2)
    return line + np.random.default_rng(seed).normal(scale=NOISE, size=PIXELS)


def mean_spectrum(spectra: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean of some spectra; ValueError if there is none."""
    found = list(spectra)
    if not found:
        raise ValueError("there is no spectrum to average")
    mean: NDArray[np.float64] = np.mean(found, axis=0)
    return mean


def line_depth(spectrum: NDArray[np.float64]) -> float:
    """Return how far the line goes down from the continuum, which is the median."""
    return float(np.median(spectrum) - spectrum.min())
