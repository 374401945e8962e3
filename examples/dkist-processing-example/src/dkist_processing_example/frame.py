"""Images in FITS files: level-0 camera frames (spec 122) and the images that this package writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from dkist_processing_example.errors import FrameError

Image = npt.NDArray[np.float64]
"""An image: shape (rows, columns)."""

KIND_KEY = "DKIST004"
"""The spec-122 key that distinguishes darks, gains and observations."""


class FrameKind(StrEnum):
    """What a level-0 frame was taken for; the value is that of the header key ``DKIST004``."""

    DARK = "dark"
    """No light reaches the camera."""
    GAIN = "gain"
    """Uniform light reaches the camera."""
    OBSERVE = "observe"
    """The Sun."""


@dataclass(frozen=True)
class Frame:
    """An image with its header."""

    data: Image
    """Counts, shape (rows, columns)."""
    header: fits.Header
    """The header of the HDU that held the data."""


def read_frame(path: Path) -> Frame:
    """Read the image of a FITS file, compressed or not, without its axes of length one.

    Raises
    ------
    FrameError
        The file is not FITS, or holds no image of two dimensions.
    """
    try:
        with path.open("rb") as file:  # given a name, astropy leaves the file open when it is cut short
            data, header = fits.getdata(file, header=True)
    except (OSError, IndexError, ValueError, TypeError) as error:
        raise FrameError(f"{path} holds no image that can be read: {error}") from error
    image = np.squeeze(np.asarray(data, dtype=np.float64))
    if image.ndim != 2:
        raise FrameError(f"{path} holds an array of shape {np.shape(data)}; a frame is one image")
    return Frame(image, header)


def frames_of_kind(paths: Iterable[Path], kind: FrameKind) -> list[Path]:
    """Return those files whose header says that they were taken for a purpose.

    Raises
    ------
    FrameError
        There is none, or a file is not a level-0 frame.
    """
    searched = list(paths)
    found = [path for path in searched if _kind_of(path) == kind]
    if not found:
        raise FrameError(f"none of {len(searched)} frames has {KIND_KEY}={kind.value!r}; the recipe run needs some")
    return found


def _kind_of(path: Path) -> str:
    try:
        with path.open("rb") as file, fits.open(file) as hdus:
            kinds = [hdu.header[KIND_KEY] for hdu in hdus if KIND_KEY in hdu.header]
    except OSError as error:
        raise FrameError(f"{path} is not a FITS file: {error}") from error
    if not kinds:
        raise FrameError(f"{path} is not a level-0 frame: its header has no {KIND_KEY}")
    return str(kinds[0])


def write_image(path: Path, image: Image, header: fits.Header | None = None) -> None:
    """Write an image as 32-bit floats (a camera has 16 bits at most) with checksums."""
    fits.PrimaryHDU(np.asarray(image, dtype=np.float32), header).writeto(path, checksum=True)
