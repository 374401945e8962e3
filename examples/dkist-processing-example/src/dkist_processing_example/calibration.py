"""The arithmetic of the calibration: arrays in, arrays out.

A camera of dark level ``d`` and relative response ``g`` shows light ``s`` as ``d + g * s``.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dkist_processing_example.errors import FrameError
from dkist_processing_example.frame import Image

MINIMUM_GAIN = 0.1
"""A pixel with less than this part of the median response is dead: dividing by it would only amplify noise."""


def mean_image(images: Iterable[Image]) -> Image:
    """Average images one after the other, so that memory holds two of them at most.

    Raises
    ------
    FrameError
        There is no image, or their shapes differ.
    """
    total: Image | None = None
    count = 0
    for image in images:
        if total is None:
            total = np.zeros_like(image, dtype=np.float64)
        _check_same_shape(total, image)
        total += image
        count += 1
    if total is None:
        raise FrameError("there is no image to average")
    return total / count


def solve_gain(mean_gain: Image, mean_dark: Image) -> Image:
    """Return the relative response of each pixel.

    Parameters
    ----------
    mean_gain, mean_dark : Image
        Mean of the frames of uniform light and of no light, in counts.

    Returns
    -------
    Image
        Response with a mean of 1 over the pixels that work, and NaN for the dead ones.

    Raises
    ------
    FrameError
        The shapes differ, or the gain frames are not brighter than the dark ones.
    """
    _check_same_shape(mean_gain, mean_dark)
    light = mean_gain - mean_dark
    typical = float(np.median(light))
    if not typical > 0:
        raise FrameError(
            f"the gain frames are {typical:.1f} counts brighter than the dark frames (median): no light reached them"
        )
    is_alive = light > MINIMUM_GAIN * typical
    return np.where(is_alive, light / light[is_alive].mean(), np.nan)


def calibrate(raw: Image, mean_dark: Image, gain: Image) -> Image:
    """Return the light that made a frame, in counts of a pixel of mean response; NaN where a pixel is dead.

    Raises
    ------
    FrameError
        The shapes differ.
    """
    _check_same_shape(raw, mean_dark)
    _check_same_shape(raw, gain)
    return (raw - mean_dark) / gain


def _check_same_shape(one: Image, other: Image) -> None:
    if one.shape != other.shape:
        raise FrameError(f"frames of shapes {one.shape} and {other.shape} do not fit together")
