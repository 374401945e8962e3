"""The header of a level-1 image: keys of the data centre's specification for calibrated data (spec 214)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version

import numpy as np
from astropy.io import fits

from dkist_processing_example.errors import FrameError
from dkist_processing_example.frame import Image

_KEPT = ("ORIGIN", "TELESCOP", "NETWORK", "INSTRUME", "OBJECT", "WAVELNTH", "BUNIT")
_WCS = tuple(
    key.format(axis)
    for axis in (1, 2)
    for key in ("CTYPE{}", "CUNIT{}", "CRPIX{}", "CRVAL{}", "CDELT{}", "PC{}_1", "PC{}_2")
)
_RENAMED = {
    "CAM__002": "CAMERA",
    "CAM__004": "XPOSURE",
    "CAM__005": "TEXPOSUR",
    "ID___012": "EXPER_ID",
    "ID___013": "PROP_ID",
}
_NEEDED = ("DATE-OBS", "WCSNAME", *_KEPT, *_WCS, *_RENAMED)
_MJD_ZERO = datetime.fromisoformat("1858-11-17")  # FITS times carry no zone: TIMESYS says UTC


@dataclass(frozen=True)
class Provenance:
    """What made an image."""

    recipe_run_id: int
    """The recipe run."""
    workflow_name: str
    """The workflow."""
    workflow_version: str
    """Its version."""
    level_0_name: str
    """Name of the file that held the raw frame."""


def level_1_header(level_0: fits.Header, image: Image, provenance: Provenance, *, now: datetime) -> fits.Header:
    """Make the header of a calibrated image.

    Parameters
    ----------
    level_0 : fits.Header
        Header of the raw frame.
    image : Image
        The calibrated image, in counts; dead pixels are NaN.
    provenance : Provenance
        What made it.
    now : datetime
        The time to give as that of its creation, in UTC.

    Raises
    ------
    FrameError
        The raw frame's header lacks a key.
    """
    if missing := [key for key in _NEEDED if key not in level_0]:
        raise FrameError(f"the header of {provenance.level_0_name} lacks {', '.join(missing)}, which spec 122 requires")
    begin = datetime.fromisoformat(level_0["DATE-OBS"])
    end = begin + timedelta(milliseconds=level_0["CAM__004"])
    header = fits.Header()
    for key in _KEPT:
        header.append(level_0.cards[key])
    for old, new in _RENAMED.items():
        header[new] = (level_0[old], level_0.comments[old])
    header["WAVEUNIT"] = (-9, "Wavelength unit: 10^(WAVEUNIT) m")
    header["DATE"] = (_utc(now), "UTC Date/Time of HDU creation")
    moments = {"BEG": (begin, "start"), "AVG": (begin + (end - begin) / 2, "midpoint"), "END": (end, "end")}
    for suffix, (moment, what) in moments.items():
        header[f"DATE-{suffix}"] = (_utc(moment), f"Exposure {what} time")
        header[f"MJD-{suffix}"] = ((moment - _MJD_ZERO) / timedelta(days=1), f"[d] Exposure {what} time")
    header["TELAPSE"] = ((end - begin).total_seconds(), "[s] Time elapsed during exposure")
    header["TIMESYS"] = ("UTC", "Time scale of the time related keywords")
    header["LEVEL"] = (1, "The level of the current data")
    header["PROCTYPE"] = ("L1", "Degree of processing")
    header["RRUNID"] = (provenance.recipe_run_id, "Recipe run ID")
    header["WKFLNAME"] = (provenance.workflow_name, "Workflow name")
    header["WKFLVERS"] = (provenance.workflow_version, "Workflow version")
    header["CALVERS"] = (version("dkist-processing-example"), "Calibration code version")
    header["DATAMIN"] = (float(np.nanmin(image)), "Minimum data value")
    header["DATAMAX"] = (float(np.nanmax(image)), "Maximum data value")
    header["DATAMEAN"] = (float(np.nanmean(image)), "Average data value")
    header["DATARMS"] = (float(np.nanstd(image)), "RMS deviation from the mean")
    header["WCSNAME"] = (level_0["WCSNAME"], "Name of the coordinate system")
    header["WCSAXES"] = (2, "Number of coordinate axes")
    for key in _WCS:
        header.append(level_0.cards[key])
    header["HISTORY"] = f"{provenance.level_0_name}: mean dark subtracted, divided by gain"
    return header


def _utc(time: datetime) -> str:
    return time.replace(tzinfo=None).isoformat(timespec="milliseconds")
