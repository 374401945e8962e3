"""The mean of the calibration frames of each kind."""

from __future__ import annotations

from typing import ClassVar

from dkist_processing_example.calibration import mean_image
from dkist_processing_example.frame import FrameKind, frames_of_kind, read_frame, write_image
from dkist_processing_example.product import Product
from dkist_processing_example.tasks.product_task import ProductTask


class _AverageFrames(ProductTask):
    """Average the frames of one kind."""

    kind: ClassVar[FrameKind]

    def run(self) -> None:
        """Write the mean of all frames of the kind."""
        with self.telemetry_span("find frames"):
            paths = frames_of_kind(self.folder.files(Product.LEVEL_0), self.kind)
        for path in paths:
            self.used(path, sha256=True)
        with self.telemetry_span("average", {"count": len(paths)}):
            mean = mean_image(read_frame(path).data for path in paths)
        (product,) = self.products
        with self.folder.replacing(product) as folder:
            write_image(folder / f"{product}.fits", mean)


class AverageDarks(_AverageFrames):
    """Average the frames taken without light."""

    kind = FrameKind.DARK
    products = (Product.MEAN_DARK,)


class AverageGains(_AverageFrames):
    """Average the frames taken of a uniform source."""

    kind = FrameKind.GAIN
    products = (Product.MEAN_GAIN,)
