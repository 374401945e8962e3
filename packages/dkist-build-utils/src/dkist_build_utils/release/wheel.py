"""The wheels in the folders that a build was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from packaging.version import Version


def wheels_in(folders: Sequence[Path]) -> Iterator[tuple[Path, str, Version]]:
    """Yield the path, distribution and version of each wheel in some folders."""
    for wheel in (wheel for folder in folders for wheel in sorted(folder.glob("*.whl"))):
        try:
            name, version, _, _ = parse_wheel_filename(wheel.name)
        except InvalidWheelFilename:
            continue  # uv skips it as well
        yield wheel, name, version
