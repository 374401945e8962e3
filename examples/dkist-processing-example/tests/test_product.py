"""Where the products of a recipe run are; `dkist_task.recipe_run` is tested where it lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from dkist_processing_example.product import ROOT_VARIABLE, Product, folder_of
from dkist_task.recipe_run import DataFolderError


@pytest.mark.parametrize("value", ["", "data"])
def test_root_must_be_an_absolute_path(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error on a worker that is not configured names this package's variable."""
    monkeypatch.setenv(ROOT_VARIABLE, value)
    with pytest.raises(DataFolderError, match=f"{ROOT_VARIABLE} is '{value}'; set it on the workers"):
        folder_of(1)


def test_every_product_has_a_folder_of_its_recipe_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of the products are those of folders."""
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    for product in Product:
        with folder_of(42).replacing(product) as folder:
            (folder / "file.txt").touch()
    assert {path.name for path in (tmp_path / "42").iterdir()} == {product.value for product in Product}
