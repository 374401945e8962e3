"""A header is complete or refused."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.io import fits

from dkist_processing_example.errors import FrameError
from dkist_processing_example.level1 import Provenance, level_1_header


def test_frame_whose_header_lacks_keys_is_named() -> None:
    """The error names all missing keys at once, with the file."""
    header = fits.Header({"DATE-OBS": "2024-05-14T20:00:00", "ORIGIN": "National Solar Observatory"})
    provenance = Provenance(1, "example_l0_to_l1", "test", "observe_0000.fits")
    with pytest.raises(
        FrameError, match=r"the header of observe_0000\.fits lacks WCSNAME, TELESCOP, .* spec 122 requires"
    ):
        level_1_header(header, np.ones((2, 2)), provenance, now=datetime.now(UTC))
