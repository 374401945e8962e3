"""From raw frames to level-1 images."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from dkist_processing_example.calibration import calibrate, solve_gain
from dkist_processing_example.frame import FrameKind, Image, frames_of_kind, read_frame, write_image
from dkist_processing_example.level1 import Provenance, level_1_header
from dkist_processing_example.product import Product
from dkist_processing_example.tasks.product_task import ProductTask


class CalibrateFrames(ProductTask):
    """Solve the gain, and apply dark and gain to each frame that observes."""

    products = (Product.GAIN, Product.LEVEL_1)
    # The task that runs for long on real data: worth another try when its worker is lost.
    retries = 1
    retry_delay_seconds = 10
    timeout_seconds = 3600

    def run(self) -> None:
        """Write the gain, and a level-1 image for each frame that observes."""
        (mean_dark,) = (read_frame(path).data for path in self.inputs(Product.MEAN_DARK))
        (mean_gain,) = (read_frame(path).data for path in self.inputs(Product.MEAN_GAIN))
        with self.telemetry_span("solve gain"), self.folder.replacing(Product.GAIN) as folder:
            gain = solve_gain(mean_gain, mean_dark)
            write_image(folder / "gain.fits", gain)

        calibrated = self.meter.create_counter(
            "dkist_example.frames", unit="{frame}", description="Frames that were calibrated."
        )
        paths = frames_of_kind(self.folder.files(Product.LEVEL_0), FrameKind.OBSERVE)
        with self.folder.replacing(Product.LEVEL_1) as folder:
            for path in paths:
                self.used(path, sha256=True)
                with self.telemetry_span("calibrate", {"frame": path.name}):
                    self._write_level_1(path, folder, mean_dark, gain)
                    calibrated.add(1)

    def _write_level_1(self, path: Path, folder: Path, mean_dark: Image, gain: Image) -> None:
        raw = read_frame(path)
        image = calibrate(raw.data, mean_dark, gain)
        provenance = Provenance(
            recipe_run_id=self.recipe_run_id,
            workflow_name=self.workflow_name,
            workflow_version=self.workflow_version,
            level_0_name=path.name,
        )
        header = level_1_header(raw.header, image, provenance, now=datetime.now(UTC))
        write_image(folder / f"{path.stem}_L1.fits", image, header)
