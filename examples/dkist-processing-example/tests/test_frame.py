"""Files that are not the frames they should be are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from dkist_processing_example.errors import FrameError
from dkist_processing_example.frame import FrameKind, frames_of_kind, read_frame, write_image

IMAGE = np.arange(12.0).reshape(3, 4)


def test_image_is_read_as_it_was_written(tmp_path: Path) -> None:
    """The values, the shape and the checksum survive."""
    write_image(tmp_path / "image.fits", IMAGE)
    np.testing.assert_array_equal(read_frame(tmp_path / "image.fits").data, IMAGE)
    with fits.open(tmp_path / "image.fits", checksum=True) as hdus:
        hdus.verify("exception")


def test_compressed_frame_with_a_dummy_axis_is_read(tmp_path: Path) -> None:
    """A frame as the summit sends it (Rice-compressed, a third axis of length one) is an image of two axes."""
    counts = IMAGE.astype(np.int16)[np.newaxis]
    fits.CompImageHDU(counts, compression_type="RICE_1").writeto(tmp_path / "raw.fits")
    np.testing.assert_array_equal(read_frame(tmp_path / "raw.fits").data, IMAGE)


@pytest.mark.filterwarnings("ignore:File may have been truncated")  # astropy says so in the log as well
def test_frame_that_is_cut_short_is_named(tmp_path: Path) -> None:
    """A transfer that broke off is refused with the path."""
    write_image(tmp_path / "cut.fits", np.zeros((100, 100)))
    with (tmp_path / "cut.fits").open("r+b") as file:
        file.truncate(20_000)
    with pytest.raises(FrameError, match=r"cut\.fits holds no image that can be read"):
        read_frame(tmp_path / "cut.fits")


@pytest.mark.parametrize("content", [b"", b"no FITS file"])
def test_what_is_no_fits_file_is_named(tmp_path: Path, content: bytes) -> None:
    """A file of another kind is refused with the path."""
    (tmp_path / "broken.fits").write_bytes(content)
    with pytest.raises(FrameError, match=r"broken\.fits"):
        read_frame(tmp_path / "broken.fits")


def test_cube_is_no_frame(tmp_path: Path) -> None:
    """More than one image in a file is refused with its shape."""
    fits.PrimaryHDU(np.zeros((2, 3, 4))).writeto(tmp_path / "cube.fits")
    with pytest.raises(FrameError, match=r"cube\.fits holds an array of shape \(2, 3, 4\)"):
        read_frame(tmp_path / "cube.fits")


def test_kind_is_told_by_the_header(tmp_path: Path) -> None:
    """The name of the file does not matter."""
    for name, kind in (("a.fits", "gain"), ("b.fits", "dark"), ("c.fits", "dark")):
        fits.PrimaryHDU(IMAGE, fits.Header({"DKIST004": kind})).writeto(tmp_path / name)
    paths = sorted(tmp_path.iterdir())
    assert frames_of_kind(paths, FrameKind.DARK) == paths[1:]
    with pytest.raises(FrameError, match="none of 3 frames has DKIST004='observe'"):
        frames_of_kind(paths, FrameKind.OBSERVE)


def test_frame_without_a_kind_is_named(tmp_path: Path) -> None:
    """A file that is not a level-0 frame is refused with the missing key."""
    write_image(tmp_path / "image.fits", IMAGE)
    with pytest.raises(FrameError, match=r"image\.fits is not a level-0 frame: its header has no DKIST004"):
        frames_of_kind([tmp_path / "image.fits"], FrameKind.DARK)
