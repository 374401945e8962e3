"""The science knows the truth: what was put into a simulation comes out of it."""

from __future__ import annotations

import pytest

from template_instrument.spectrum import (
    LINE_DEPTH,
    NOISE,
    line_depth,
    mean_spectrum,
    simulated_spectrum,
)


def test_the_mean_of_many_spectra_has_the_depth_that_was_simulated() -> None:
    """Noise goes down with the square root of the number of spectra."""
    mean = mean_spectrum(simulated_spectrum(seed) for seed in range(100))
    assert line_depth(mean) == pytest.approx(LINE_DEPTH, abs=5 * NOISE / 100**0.5)


def test_no_spectra_have_no_mean() -> None:
    """The error says what is missing."""
    with pytest.raises(ValueError, match="no spectrum"):
        mean_spectrum([])
