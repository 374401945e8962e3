"""Level-0 frames as the summit sends them: FITS files whose headers follow spec 122.

Needs the extra ``simulator``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from dkist_data_simulator.spec122 import Spec122Dataset

from dkist_processing_example.camera import Camera, Counts
from dkist_processing_example.frame import KIND_KEY, FrameKind

_EXPOSURE_MS = 25.0
_CADENCE_S = 0.5
_CONSTANT_KEYS = {
    "CAM__002": "VBI blue",
    "CAM__003": 16,  # bits of the camera
    "CAM__004": _EXPOSURE_MS,
    "CAM__005": _EXPOSURE_MS,
    "CAM__006": 1 / _CADENCE_S,
    "DKIST006": "Good",  # health of the camera
    "ID___012": "eid_1_1",
    "ID___013": "pid_1_1",
    "NETWORK": "NSF-DKIST",
    "OBJECT": "sunspot",
    "WAVELNTH": 430.5,  # nm: the G band
    "WCSNAME": "Helioprojective-cartesian",
}


class _CameraFrames(Spec122Dataset):
    """Frames of one kind; the keys that nobody sets are filled at random by the simulator, as the spec allows."""

    def __init__(
        self, camera: Camera, kind: FrameKind, count: int, start: datetime, random: np.random.Generator
    ) -> None:
        rows, columns = camera.dark.shape
        super().__init__(
            dataset_shape=(count, rows, columns),
            array_shape=(1, rows, columns),
            time_delta=_CADENCE_S,
            start_time=start,
            instrument="vbi",
        )
        self._camera, self._kind, self._noise = camera, kind, random
        for key, value in {**_CONSTANT_KEYS, "DKIST003": kind.value, KIND_KEY: kind.value}.items():
            self.add_constant_key(key, value)

    @property
    def data(self) -> Counts:
        return self._camera.expose(self._kind, self.index, self._noise)[np.newaxis]


def write_level_0(folder: Path, camera: Camera, kind: FrameKind, count: int, random: np.random.Generator) -> list[Path]:
    """Take frames of one kind and write one file each: ``dark_0000.fits`` and so on.

    Parameters
    ----------
    folder : Path
        Where to.
    camera : Camera
        What takes them.
    kind : FrameKind
        What they are taken for.
    count : int
        How many.
    random : np.random.Generator
        Source of the noise.
    """
    start = datetime(2024, 5, 14, 20, list(FrameKind).index(kind), tzinfo=UTC).replace(tzinfo=None)
    frames = _CameraFrames(camera, kind, count, start, random)
    return [Path(path) for path in frames.generate_files(folder, f"{kind.value}_{{ds.index:04d}}.fits")]
