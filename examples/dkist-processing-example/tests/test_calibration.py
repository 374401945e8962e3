"""The arithmetic, on arrays small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dkist_processing_example.calibration import calibrate, mean_image, solve_gain
from dkist_processing_example.errors import FrameError

DARK = np.array([[10.0, 20.0], [10.0, 20.0]])


def test_mean_is_taken_pixel_by_pixel() -> None:
    """The images themselves are left as they are."""
    images = [DARK, 3 * DARK]
    np.testing.assert_array_equal(mean_image(images), 2 * DARK)
    np.testing.assert_array_equal(images[0], [[10.0, 20.0], [10.0, 20.0]])


def test_mean_of_nothing_is_refused() -> None:
    """The mean of no images is refused."""
    with pytest.raises(FrameError, match="no image to average"):
        mean_image([])


def test_images_of_different_shapes_are_refused() -> None:
    """The error names both shapes, and nothing is broadcast."""
    with pytest.raises(FrameError, match=r"shapes \(2, 2\) and \(1, 2\) do not fit together"):
        mean_image([DARK, DARK[:1]])
    with pytest.raises(FrameError, match=r"shapes \(2, 2\) and \(1, 2\) do not fit together"):
        calibrate(DARK, DARK[:1], DARK)


def test_gain_is_relative_and_dead_pixels_are_marked() -> None:
    """The pixels that work have a mean of 1; one that sees hardly any light is NaN."""
    light = np.array([[900.0, 1100.0], [1000.0, 5.0]])
    np.testing.assert_allclose(solve_gain(DARK + light, DARK), [[0.9, 1.1], [1.0, np.nan]])


def test_gain_frames_without_light_are_refused() -> None:
    """A frame without light is refused as a gain."""
    with pytest.raises(FrameError, match=r"0\.0 counts brighter than the dark frames"):
        solve_gain(DARK, DARK)


def test_calibration_inverts_the_camera() -> None:
    """Light that a camera has turned into counts comes back."""
    light, gain = np.array([[5.0, 6.0], [7.0, 8.0]]), np.array([[0.5, 1.0], [1.5, np.nan]])
    np.testing.assert_allclose(calibrate(DARK + gain * light, DARK, gain), np.where(np.isnan(gain), np.nan, light))
