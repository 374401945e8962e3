"""A picture that shows the result at a glance."""

from __future__ import annotations

from dkist_processing_example.frame import FrameKind, frames_of_kind, read_frame
from dkist_processing_example.product import Product
from dkist_processing_example.tasks.product_task import ProductTask


class DrawQuickLook(ProductTask):
    """Draw the first frame before and after the calibration."""

    products = (Product.QUICK_LOOK,)

    def run(self) -> None:
        """Draw one PNG."""
        # Imported here: a workflow module imports this one where the extra is not installed.
        from dkist_processing_example.picture import render_quick_look

        before = frames_of_kind(self.folder.files(Product.LEVEL_0), FrameKind.OBSERVE)[0]
        after = self.folder.files(Product.LEVEL_1)[0]
        for path in (before, after):
            self.used(path, sha256=True)
        raw, calibrated = read_frame(before), read_frame(after)
        caption = (
            f"{calibrated.header['INSTRUME']} {calibrated.header['WAVELNTH']} nm   {calibrated.header['DATE-BEG']}   "
            f"recipe run {self.recipe_run_id}   {self.workflow_name} {self.workflow_version}"
        )
        with self.folder.replacing(Product.QUICK_LOOK) as folder:
            (folder / "quicklook.png").write_bytes(render_quick_look(raw.data, calibrated.data, caption))
