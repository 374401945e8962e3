"""Level-0 camera frames to level-1 images: an instrument package to copy from."""

from __future__ import annotations

from dkist_processing_example.__about__ import __version__

__all__ = ["__version__"]
