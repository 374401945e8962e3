"""The quality report: numbers that show whether a recipe run can be released."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape

import numpy as np

from dkist_processing_example.frame import Image

LARGEST_DEAD_PART = 0.01
"""Fraction of dead pixels above which the report has a remark."""
LARGEST_DRIFT = 0.02
"""Relative difference of the brightest and the faintest image above which the report has a remark."""


@dataclass(frozen=True)
class ImageQuality:
    """The numbers of a level-1 image."""

    name: str
    """File name."""
    mean: float
    """Mean, in counts."""
    contrast: float
    """Standard deviation divided by the mean."""


@dataclass(frozen=True)
class QualityReport:
    """The numbers of a recipe run."""

    recipe_run_id: int
    """The recipe run."""
    dark_level: float
    """Median of the mean dark, in counts."""
    gain_spread: float
    """Standard deviation of the relative response over the pixels that work."""
    dead_part: float
    """Fraction of dead pixels."""
    images: tuple[ImageQuality, ...]
    """The level-1 images in the order of their names."""
    observation_count: int
    """The images that there should be."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks for a person, one sentence each; none for a good recipe run."""
        means = [image.mean for image in self.images]
        drift = (max(means) - min(means)) / float(np.mean(means))
        found = []
        if self.dead_part > LARGEST_DEAD_PART:
            found.append(f"{self.dead_part:.1%} of the pixels are dead (at most {LARGEST_DEAD_PART:.0%} is usual).")
        if drift > LARGEST_DRIFT:
            found.append(f"The mean of the images differs by {drift:.1%} (at most {LARGEST_DRIFT:.0%} is usual).")
        if len(self.images) != self.observation_count:
            found.append(f"There are {len(self.images)} images of {self.observation_count} observations.")
        return tuple(found)


def assess(
    recipe_run_id: int, mean_dark: Image, gain: Image, images: Sequence[tuple[str, Image]], observation_count: int
) -> QualityReport:
    """Assess the products of a recipe run.

    Parameters
    ----------
    recipe_run_id : int
        The recipe run.
    mean_dark, gain : Image
        Its mean dark and its gain; dead pixels are NaN in the gain.
    images : Sequence[tuple[str, Image]]
        Its level-1 images by name, at least one.
    observation_count : int
        The images that it should have.
    """
    return QualityReport(
        recipe_run_id=recipe_run_id,
        dark_level=float(np.median(mean_dark)),
        gain_spread=float(np.nanstd(gain)),
        dead_part=float(np.isnan(gain).mean()),
        images=tuple(
            ImageQuality(name, float(np.nanmean(image)), float(np.nanstd(image) / np.nanmean(image)))
            for name, image in images
        ),
        observation_count=observation_count,
    )


def render_json(report: QualityReport) -> str:
    """Render a report for a program."""
    return json.dumps({**asdict(report), "remarks": report.remarks}, indent=2) + "\n"


def render_html(report: QualityReport) -> str:
    """Render a report for a person: a page that needs no other file."""
    facts = {
        "Dark level": f"{report.dark_level:.1f} ct",
        "Spread of the gain": f"{report.gain_spread:.2%}",
        "Dead pixels": f"{report.dead_part:.3%}",
    }
    remarks = report.remarks or ("Nothing to remark.",)
    title = f"Quality of recipe run {report.recipe_run_id}"
    return "\n".join(
        (
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>',
            f"<h1>{title}</h1>",
            *(f"<p>{escape(remark)}</p>" for remark in remarks),
            "<table>",
            *(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items()),
            "</table>",
            "<table><tr><th>Image</th><th>Mean [ct]</th><th>Contrast</th></tr>",
            *(
                f"<tr><td>{escape(image.name)}</td><td>{image.mean:.1f}</td><td>{image.contrast:.2%}</td></tr>"
                for image in report.images
            ),
            "</table></body></html>",
            "",
        )
    )
