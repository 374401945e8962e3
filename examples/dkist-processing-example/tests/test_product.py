"""Products are complete or absent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dkist_processing_example.errors import ConfigurationError, ProductMissingError
from dkist_processing_example.product import ROOT_VARIABLE, Product, RecipeRunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RecipeRunFolder:
    """Return the folder of a recipe run that has a gain."""
    recipe_run = RecipeRunFolder(tmp_path / "1")
    with recipe_run.replacing(Product.GAIN) as gain:
        (gain / "gain.fits").write_text("old")
    return recipe_run


def test_product_is_replaced_as_a_whole(folder: RecipeRunFolder) -> None:
    """Nothing of the old product is left when the new one is there."""
    with folder.replacing(Product.GAIN) as gain:
        (gain / "other.fits").write_text("new")
    assert [path.name for path in folder.files(Product.GAIN)] == ["other.fits"]
    assert [path.name for path in folder.path.iterdir()] == ["gain"]


def test_product_stays_when_its_replacement_fails(folder: RecipeRunFolder) -> None:
    """A task that raises half-way leaves the product that was there, and nothing else."""

    def fail_half_way() -> None:
        with folder.replacing(Product.GAIN) as gain:
            (gain / "gain.fits").write_text("half")
            raise ZeroDivisionError("no gain")

    with pytest.raises(ZeroDivisionError, match="no gain"):
        fail_half_way()
    assert [path.read_text() for path in folder.files(Product.GAIN)] == ["old"]
    assert [path.name for path in folder.path.iterdir()] == ["gain"]


def test_product_of_a_killed_task_is_made_anew(folder: RecipeRunFolder) -> None:
    """What a process killed in the middle has written is neither in the product nor in its successor's way."""
    program = (
        "import os, sys, pathlib\n"
        "from dkist_processing_example.product import Product, RecipeRunFolder\n"
        "with RecipeRunFolder(pathlib.Path(sys.argv[1])).replacing(Product.GAIN) as gain:\n"
        "    (gain / 'half.fits').write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, folder.path], check=False, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL
    assert [path.read_text() for path in folder.files(Product.GAIN)] == ["old"]
    with folder.replacing(Product.GAIN) as gain:
        assert list(gain.iterdir()) == []
        (gain / "gain.fits").write_text("new")
    assert [path.read_text() for path in folder.files(Product.GAIN)] == ["new"]


def test_discarded_product_is_gone(folder: RecipeRunFolder) -> None:
    """Discarding removes the product. Discarding a missing product is allowed."""
    folder.discard(Product.GAIN)
    folder.discard(Product.GAIN)
    assert list(folder.path.iterdir()) == []


def test_missing_product_is_named(tmp_path: Path) -> None:
    """The message says which product is missing, where, and what to do."""
    with pytest.raises(ProductMissingError, match=r"mean_dark holds no \*\.fits: the task .* run it first"):
        RecipeRunFolder(tmp_path).files(Product.MEAN_DARK)


@pytest.mark.parametrize("value", ["", "data"])
def test_root_must_be_an_absolute_path(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error on a worker that is not configured names the variable to set."""
    monkeypatch.setenv(ROOT_VARIABLE, value)
    with pytest.raises(ConfigurationError, match=f"{ROOT_VARIABLE} is '{value}'; set it on the workers"):
        RecipeRunFolder.from_environment(1)


def test_each_recipe_run_has_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipe runs do not see each other's products."""
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    assert RecipeRunFolder.from_environment(42).path == tmp_path / "42"
