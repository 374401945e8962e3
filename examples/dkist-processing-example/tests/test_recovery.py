"""A known dark, gain and view go into a camera; the pipeline has to find each of them again."""

from __future__ import annotations

import numpy as np
import pytest

from dkist_processing_example.camera import Camera, simulated_camera
from dkist_processing_example.frame import FrameKind, Image, read_frame
from dkist_processing_example.level0 import write_level_0
from dkist_processing_example.product import ROOT_VARIABLE, Product
from dkist_processing_example.tasks.average_frames import AverageDarks, AverageGains
from dkist_processing_example.tasks.calibrate_frames import CalibrateFrames
from dkist_task.recipe_run import RecipeRunFolder

DARKS, GAINS, OBSERVATIONS = 16, 16, 2
SIZE = 96


@pytest.fixture(scope="module")
def recipe_run(tmp_path_factory: pytest.TempPathFactory) -> RecipeRunFolder:
    """Return the folder of a recipe run; made once, as nothing here changes it."""
    return RecipeRunFolder(tmp_path_factory.mktemp("data") / "1")


@pytest.fixture(scope="module")
def camera(recipe_run: RecipeRunFolder) -> Camera:
    """Return the camera whose frames have been taken and calibrated."""
    random = np.random.default_rng(20240514)
    camera = simulated_camera(SIZE, random)
    with recipe_run.replacing(Product.LEVEL_0) as folder:
        write_level_0(folder, camera, FrameKind.DARK, DARKS, random)
        write_level_0(folder, camera, FrameKind.GAIN, GAINS, random)
        write_level_0(folder, camera, FrameKind.OBSERVE, OBSERVATIONS, random)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ROOT_VARIABLE, str(recipe_run.path.parent))
        for task_class in (AverageDarks, AverageGains, CalibrateFrames):
            with task_class(recipe_run_id=1, workflow_name="example_l0_to_l1", workflow_version="test") as task:
                task()
    return camera


def noise_of_mean(camera: Camera, light: Image | float, count: int) -> Image:
    """Return the standard deviation of the mean of frames, in counts.

    Of one frame, the variance is that of the photons (their number, by Poisson), of the read-out, and 1/12 for rounding
    to whole counts.
    """
    return np.asarray(np.sqrt((camera.gain * light + camera.read_noise**2 + 1 / 12) / count))


def assert_within_noise(found: Image, truth: Image, noise: Image) -> None:
    """Compare images pixel by pixel in units of the noise.

    Among SIZE**2 = 9216 normal deviates one is beyond 6 in two of a hundred thousand cases; their mean is within
    6 / sqrt(9216) = 0.06 of 0 (that is how a systematic error would show) and their standard deviation within
    6 / sqrt(2 * 9216) = 0.044 of 1 (that is how noise would show which should not be there).
    """
    deviation = (found - truth)[np.isfinite(found)] / noise[np.isfinite(found)]
    assert np.abs(deviation).max() < 6
    assert abs(deviation.mean()) < 0.06
    assert abs(deviation.std() - 1) < 0.044


def test_dark_is_recovered(camera: Camera, recipe_run: RecipeRunFolder) -> None:
    """The mean dark is the camera's dark level, within the read-out noise of 16 frames (0.8 counts)."""
    (path,) = recipe_run.files(Product.MEAN_DARK)
    assert_within_noise(read_frame(path).data, camera.dark, noise_of_mean(camera, 0.0, DARKS))


def test_gain_is_recovered(camera: Camera, recipe_run: RecipeRunFolder) -> None:
    """The gain is the camera's response, within the photon noise of 16 frames of 20000 counts (about 0.2 %)."""
    (path,) = recipe_run.files(Product.GAIN)
    noise = np.hypot(noise_of_mean(camera, camera.gain_light, GAINS), noise_of_mean(camera, 0.0, DARKS))
    assert_within_noise(read_frame(path).data, camera.gain, noise / camera.gain_light)


def test_dead_pixels_are_told_from_faint_ones(camera: Camera, recipe_run: RecipeRunFolder) -> None:
    """Exactly the pixels without response are NaN, in the gain and in every level-1 image."""
    assert (camera.gain == 0).any()
    for path in recipe_run.files(Product.GAIN) + recipe_run.files(Product.LEVEL_1):
        np.testing.assert_array_equal(np.isnan(read_frame(path).data), camera.gain == 0)


@pytest.mark.parametrize("index", range(OBSERVATIONS))
def test_view_is_recovered(camera: Camera, recipe_run: RecipeRunFolder, index: int) -> None:
    """A level-1 image is the view of its frame, within its photon noise and that of dark and gain (about 1 %)."""
    path = recipe_run.files(Product.LEVEL_1)[index]
    view = camera.light(FrameKind.OBSERVE, index)
    with np.errstate(divide="ignore", invalid="ignore"):  # dead pixels
        of_frame = noise_of_mean(camera, view, 1) / camera.gain
        of_dark = noise_of_mean(camera, 0.0, DARKS) / camera.gain
        of_gain = view * noise_of_mean(camera, camera.gain_light, GAINS) / camera.gain_light / camera.gain
    assert_within_noise(read_frame(path).data, view, np.sqrt(of_frame**2 + of_dark**2 + of_gain**2))
