"""A simulated camera whose dark level, response and view are known, to test the calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dkist_processing_example.frame import FrameKind, Image

Counts = npt.NDArray[np.uint16]
"""A frame as a camera of 16 bits writes it: shape (rows, columns)."""


@dataclass(frozen=True)
class Camera:
    """The truth behind simulated frames. One electron makes one count."""

    dark: Image
    """Counts without light."""
    gain: Image
    """Relative response, with a mean of 1 over the pixels that work; 0 for dead ones."""
    view: Image
    """The light that comes from the Sun, in counts of a pixel of response 1; it drifts by a column a frame."""
    gain_light: float = 20_000.0
    """The light of the uniform source that the gain frames look at, in the same unit."""
    read_noise: float = 3.0
    """Standard deviation of the noise of one read-out, in counts."""

    def light(self, kind: FrameKind, index: int) -> Image:
        """Return the light that reaches the camera during the frame of a number."""
        if kind is FrameKind.OBSERVE:
            return np.roll(self.view, index, axis=1)
        return np.full_like(self.view, self.gain_light if kind is FrameKind.GAIN else 0.0)

    def expose(self, kind: FrameKind, index: int, random: np.random.Generator) -> Counts:
        """Take a frame: photon noise, dark level, read-out noise, whole counts."""
        electrons = random.poisson(self.gain * self.light(kind, index))
        noise = random.normal(0.0, self.read_noise, self.dark.shape)
        return np.clip(np.rint(self.dark + electrons + noise), 0, np.iinfo(np.uint16).max).astype(np.uint16)


def simulated_camera(size: int, random: np.random.Generator) -> Camera:
    """Make up a camera of ``size`` by ``size`` pixels that looks at a sunspot.

    The dark level has a slope and warm columns, the response vignettes and differs from pixel to pixel with one in a
    thousand dead, and the view is granulation around a spot.
    """
    rows, columns = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    radius = np.hypot(rows, columns)

    dark = 200 + 20 * rows + np.where(random.random(size) < 0.05, 800.0, 0.0)

    gain = (1 - 0.25 * radius**2) * random.normal(1.0, 0.02, (size, size))
    gain[random.random((size, size)) < 0.001] = 0.0
    gain /= gain[gain > 0].mean()

    spot = 1 - 0.8 * np.exp(-((radius / 0.3) ** 4))
    view = 12_000 * spot * (1 + 0.08 * _granulation(size, random))
    return Camera(dark=dark, gain=gain, view=view)


def _granulation(size: int, random: np.random.Generator) -> Image:
    """Return a random pattern of mean 0 and standard deviation 1 with grains of about a sixteenth of the image."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :]) * size
    grains = np.exp(-(((frequency - 16) / 6) ** 2))
    pattern = np.fft.ifft2(np.fft.fft2(random.normal(size=(size, size))) * grains).real
    return np.asarray((pattern - pattern.mean()) / pattern.std())
