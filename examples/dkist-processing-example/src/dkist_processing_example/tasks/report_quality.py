"""Numbers that show whether the recipe run can be released."""

from __future__ import annotations

from dkist_processing_example.frame import read_frame
from dkist_processing_example.product import Constant, Product
from dkist_processing_example.quality import assess, render_html, render_json
from dkist_processing_example.tasks.product_task import ProductTask, logger


class ReportQuality(ProductTask):
    """Write the quality report, for a person and for a program."""

    products = (Product.QUALITY,)

    def run(self) -> None:
        """Assess the products and write one report as JSON and as HTML."""
        (mean_dark,) = (read_frame(path).data for path in self.inputs(Product.MEAN_DARK))
        (gain,) = (read_frame(path).data for path in self.inputs(Product.GAIN))
        with self.telemetry_span("assess"):
            images = [(path.name, read_frame(path).data) for path in self.inputs(Product.LEVEL_1)]
            report = assess(self.recipe_run_id, mean_dark, gain, images, self.constants[Constant.OBSERVATION_COUNT])
        for remark in report.remarks:
            logger.warning(remark)
        with self.folder.replacing(Product.QUALITY) as folder:
            (folder / "quality.json").write_text(render_json(report), encoding="utf-8")
            (folder / "quality.html").write_text(render_html(report), encoding="utf-8")
