"""The quick-look picture: a raw and a calibrated image side by side.

Needs the extra ``quicklook``.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture
from PIL import ImageDraw

from dkist_processing_example.frame import Image

_PANEL = 480  # pixels along an edge that a panel has at least
_MARGIN = 12
_CAPTION = 28


def render_quick_look(raw: Image, calibrated: Image, caption: str) -> bytes:
    """Draw two images of one shape, each from black to white, over a caption.

    Parameters
    ----------
    raw, calibrated : Image
        What to draw; NaN is drawn black.
    caption : str
        One line of text.

    Returns
    -------
    bytes
        A PNG file.
    """
    panels = [_panel(image) for image in (raw, calibrated)]
    width, height = panels[0].size
    picture = Picture.new("L", (2 * width + 3 * _MARGIN, height + 2 * _MARGIN + _CAPTION), color=255)
    pen = ImageDraw.Draw(picture)
    for index, (panel, title) in enumerate(zip(panels, ("level 0", "level 1"), strict=True)):
        left = _MARGIN + index * (width + _MARGIN)
        picture.paste(panel, (left, _MARGIN))
        pen.text((left + 6, _MARGIN + 4), title, fill=255, stroke_width=1, stroke_fill=0)
    pen.text((_MARGIN, height + 2 * _MARGIN), caption, fill=0)
    file = BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def stretch(image: Image) -> npt.NDArray[np.uint8]:
    """Map an image to 0 to 255, clipping the darkest and the brightest half percent; NaN becomes 0."""
    if not np.isfinite(image).any():
        return np.zeros(image.shape, dtype=np.uint8)
    low, high = np.nanpercentile(image, (0.5, 99.5))
    scaled = (image - low) / max(high - low, np.finfo(float).tiny)
    return np.asarray(np.nan_to_num(np.clip(scaled, 0, 1)) * 255, dtype=np.uint8)


def _panel(image: Image) -> Picture.Image:
    rows, columns = image.shape
    factor = max(1, round(_PANEL / max(rows, columns)))
    # The first row of a FITS image is its lowest.
    panel = Picture.fromarray(stretch(image)[::-1])
    return panel.resize((columns * factor, rows * factor), Picture.Resampling.NEAREST)
