"""The tasks as the launcher runs them, in the order of the workflow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image as Picture

from dkist_processing_example.errors import ConfigurationError
from dkist_processing_example.frame import read_frame
from dkist_processing_example.product import ROOT_VARIABLE, Product
from dkist_processing_example.tasks.average_frames import AverageDarks
from dkist_processing_example.tasks.calibrate_frames import CalibrateFrames
from dkist_processing_example.tasks.product_task import ProductTask
from dkist_processing_example.tasks.report_quality import ReportQuality
from dkist_processing_example.tasks.simulate_frames import SIZE_VARIABLE, SimulateFrames
from dkist_processing_example.workflows.l0_to_l1 import l0_to_l1
from dkist_task.recipe_run import DataFolderError, ProductMissingError, RecipeRunFolder

RunTask = Callable[[type[ProductTask]], None]


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a recipe run whose workflow has run; made once, to be copied."""
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ROOT_VARIABLE, str(root))
        patch.setenv(SIZE_VARIABLE, "64")
        for node in l0_to_l1.nodes:
            with node.task(recipe_run_id=1, workflow_name="example_l0_to_l1", workflow_version="test") as task:
                task()
    return root / "1"


@pytest.fixture
def processed(products: Path, recipe_run: RecipeRunFolder) -> RecipeRunFolder:
    """Return the folder of a recipe run whose workflow has run, for one test alone."""
    shutil.copytree(products, recipe_run.path)
    return recipe_run


class Page(HTMLParser):
    """The texts of an HTML page."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: set[str] = set()

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.texts.add(data)


def contents(folder: RecipeRunFolder) -> dict[str, bytes]:
    """Return what is in the files, but for the lines of a header that hold the time of writing."""
    cards = (b"DATE    =", b"CHECKSUM=", b"DATASUM =")
    found = {}
    for path in filter(Path.is_file, folder.path.rglob("*")):
        content = path.read_bytes()
        lines = [content[start : start + 80] for start in range(0, len(content), 80)]
        found[str(path.relative_to(folder.path))] = b"".join(line for line in lines if not line.startswith(cards))
    return found


def test_workflow_makes_every_product(processed: RecipeRunFolder) -> None:
    """Each task makes its product and leaves nothing else."""
    names = {product.value for product in Product}
    assert {path.name for path in processed.path.iterdir()} == {*names, ".constants"}
    assert dict(processed.constants("Test")) == {"observation_count": 6}
    assert len(processed.files(Product.LEVEL_0)) == 22
    assert len(processed.files(Product.LEVEL_1)) == 6


def test_level_0_frames_follow_spec_122(processed: RecipeRunFolder) -> None:
    """The input is what a summit sends: 16 bits, three axes, the keys of the specification."""
    with fits.open(processed.files(Product.LEVEL_0)[0], checksum=True) as hdus:
        header = hdus[0].header
        assert hdus[0].data.dtype == np.uint16
        assert hdus[0].data.shape == (1, 64, 64)
    assert header["DKIST004"] == "dark"
    assert header["ID___001"].startswith("Data Model (SPEC-0122)")
    assert header["INSTRUME"] == "VBI"


def test_level_1_images_are_described(processed: RecipeRunFolder) -> None:
    """Astropy reads a level-1 image without a warning. Its header says when, where and by what it was made."""
    path = processed.files(Product.LEVEL_1)[1]
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        header, image = hdus[0].header, hdus[0].data
    assert image.shape == (64, 64)
    assert (header["LEVEL"], header["PROCTYPE"], header["RRUNID"]) == (1, "L1", 1)
    assert (header["WKFLNAME"], header["WKFLVERS"]) == ("example_l0_to_l1", "test")
    assert (header["INSTRUME"], header["WAVELNTH"], header["BUNIT"]) == ("VBI", 430.5, "ct")
    assert header["DATAMEAN"] == pytest.approx(np.nanmean(image), rel=1e-5)
    begin, end = (datetime.fromisoformat(header[key]) for key in ("DATE-BEG", "DATE-END"))
    assert (end - begin).total_seconds() == pytest.approx(header["XPOSURE"] / 1000)
    assert "observe_0001.fits" in str(header["HISTORY"])
    wcs = WCS(header)
    assert wcs.naxis == 2
    assert wcs.wcs.name == "Helioprojective-cartesian"
    assert list(wcs.wcs.ctype) == ["HPLN-TAN", "HPLT-TAN"]


def test_quick_look_is_a_picture(processed: RecipeRunFolder) -> None:
    """The PNG opens, and holds two panels of an image that is neither black nor white."""
    with Picture.open(processed.path / "quicklook" / "quicklook.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 2 * 480
        pixels = np.asarray(picture)
    assert pixels[100:400, 100:400].std() > 20


def test_quality_report_agrees_with_the_images(processed: RecipeRunFolder) -> None:
    """The program's report has the numbers of the images, the person's report is a page with the same rows."""
    report = json.loads((processed.path / "quality" / "quality.json").read_text())
    first = read_frame(processed.files(Product.LEVEL_1)[0]).data
    assert report["recipe_run_id"] == 1
    assert len(report["images"]) == 6
    assert report["images"][0]["mean"] == pytest.approx(np.nanmean(first))
    assert report["dead_part"] == pytest.approx(np.isnan(first).mean())
    assert report["remarks"] == []
    page = Page()
    page.feed((processed.path / "quality" / "quality.html").read_text())
    assert {"observe_0000_L1.fits", "Nothing to remark."} <= page.texts


def test_tasks_that_run_again_make_the_same(processed: RecipeRunFolder, run_task: RunTask) -> None:
    """A retry replaces the products, and all but the time of writing is the same."""
    before = contents(processed)
    for task in (AverageDarks, CalibrateFrames):
        run_task(task)
    assert contents(processed) == before


def test_same_recipe_run_has_the_same_frames(recipe_run: RecipeRunFolder, run_task: RunTask) -> None:
    """The simulation depends on the number of the recipe run alone."""
    run_task(SimulateFrames)
    first = [read_frame(path).data for path in recipe_run.files(Product.LEVEL_0)]
    run_task(SimulateFrames)
    second = [read_frame(path).data for path in recipe_run.files(Product.LEVEL_0)]
    np.testing.assert_array_equal(first, second)


def test_rollback_removes_what_the_task_made(processed: RecipeRunFolder) -> None:
    """The products of other tasks stay."""
    CalibrateFrames(recipe_run_id=1, workflow_name="example_l0_to_l1", workflow_version="test").rollback()
    left = {path.name for path in processed.path.iterdir()}
    assert left == {*(product.value for product in Product), ".constants"} - {"gain", "level1"}
    SimulateFrames(recipe_run_id=1, workflow_name="example_l0_to_l1", workflow_version="test").rollback()
    assert not processed.has(Product.LEVEL_0)
    assert dict(processed.constants("Test")) == {}


def test_lost_image_is_a_remark(processed: RecipeRunFolder, run_task: RunTask) -> None:
    """The report compares the images with the observations that the first task counted."""
    processed.files(Product.LEVEL_1)[0].unlink()
    run_task(ReportQuality)
    report = json.loads((processed.path / "quality" / "quality.json").read_text())
    assert report["remarks"] == ["There are 5 images of 6 observations."]


def test_task_before_its_upstream_is_told(run_task: RunTask) -> None:
    """A task that finds no input says which product it misses."""
    with pytest.raises(ProductMissingError, match=r"level0 holds no \*"):
        run_task(AverageDarks)


def test_worker_without_configuration_is_told(run_task: RunTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task does not start if the data folder is not configured."""
    monkeypatch.delenv(ROOT_VARIABLE)
    with pytest.raises(DataFolderError, match=ROOT_VARIABLE):
        run_task(SimulateFrames)


@pytest.mark.parametrize("size", ["", "8", "1e3", "-64", "1048576", "٦٤"])
def test_frame_size_must_be_sensible(size: str, run_task: RunTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A size that no camera has is refused before anything is written."""
    monkeypatch.setenv(SIZE_VARIABLE, size)
    with pytest.raises(ConfigurationError, match=f"{SIZE_VARIABLE} is '{size}'; set it to a whole number from 16"):
        run_task(SimulateFrames)
