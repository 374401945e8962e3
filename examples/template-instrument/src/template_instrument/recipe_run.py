"""Where the data of a recipe run is. The tasks of a run share nothing else: each may run on another worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

DATA_VARIABLE = "TEMPLATE_INSTRUMENT_DATA"
"""The environment variable that names the folder of all recipe runs."""


def recipe_run_folder(recipe_run_id: int) -> Path:
    """Return the folder of a recipe run, in the folder that the variable names; if it is not set, in ``data`` here."""
    root = os.environ.get(DATA_VARIABLE)
    if root is not None and not Path(root).is_absolute():
        raise ValueError(f"{DATA_VARIABLE} is {root!r}; set it to the absolute path of a folder that all workers see")
    return Path(root or "data").absolute() / str(recipe_run_id)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name when the block ends. A task that is killed in the block leaves no half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        yield file
    partial.replace(path)
