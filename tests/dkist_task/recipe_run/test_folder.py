"""Products are complete or absent, whatever happens to the tasks that make them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dkist_task import RequestError
from dkist_task.recipe_run import DataFolderError, ProductMissingError, ProductSupersededError, RecipeRunFolder

WRITER = """
import os, pathlib, sys
from dkist_task.recipe_run import ProductSupersededError, RecipeRunFolder
folder = RecipeRunFolder(pathlib.Path(sys.argv[1]))
name, text, is_killed = sys.argv[2], sys.argv[3], sys.argv[4:] == ["killed"]
for _ in range(1 if is_killed else 40):
    try:
        with folder.replacing(name) as product:
            for part in range(5):
                (product / f"{part}.txt").write_text(text)
                if is_killed and part == 2:
                    os.kill(os.getpid(), 9)
    except (ProductSupersededError, FileNotFoundError):
        print("superseded")
"""


def writer(folder: RecipeRunFolder, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that makes a product of five equal files."""
    program = [sys.executable, "-c", WRITER, str(folder.path), *arguments]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def folder(tmp_path: Path) -> RecipeRunFolder:
    """Return the folder of a recipe run that has a gain."""
    recipe_run = RecipeRunFolder(tmp_path / "1")
    with recipe_run.replacing("gain") as gain:
        (gain / "gain.fits").write_text("old")
    return recipe_run


def names(folder: RecipeRunFolder) -> list[str]:
    """Return what is in the folder of a recipe run, hidden or not."""
    return sorted(path.name for path in folder.path.iterdir())


def texts(folder: RecipeRunFolder, product: str = "gain") -> list[str]:
    """Return what is in the files of a product."""
    return [path.read_text() for path in folder.files(product)]


def test_product_is_replaced_as_a_whole(folder: RecipeRunFolder) -> None:
    """Nothing of the old product is left when the new one is there."""
    with folder.replacing("gain") as gain:
        assert list(gain.iterdir()) == []
        (gain / "other.fits").write_text("new")
        assert texts(folder) == ["old"]
    assert [path.name for path in folder.files("gain")] == ["other.fits"]
    assert names(folder) == ["gain"]


def test_product_stays_when_its_replacement_fails(folder: RecipeRunFolder) -> None:
    """A task that raises half-way leaves the product that was there, and nothing else."""

    def fail_half_way() -> None:
        with folder.replacing("gain") as gain:
            (gain / "gain.fits").write_text("half")
            raise ZeroDivisionError("no gain")

    with pytest.raises(ZeroDivisionError, match="no gain"):
        fail_half_way()
    assert texts(folder) == ["old"]
    assert names(folder) == ["gain"]


def test_product_of_a_killed_task_is_made_anew(folder: RecipeRunFolder) -> None:
    """What a killed process has written is neither in the product nor in its successor's way."""
    killed = writer(folder, "gain", "half", "killed")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert texts(folder) == ["old"]
    assert len(names(folder)) == 2
    with folder.replacing("gain") as gain:
        (gain / "gain.fits").write_text("new")
    assert texts(folder) == ["new"]
    assert names(folder) == ["gain"]


def test_product_comes_back_after_a_kill_between_two_renames(folder: RecipeRunFolder) -> None:
    """The old product is put back before the next attempt begins, so that a failure of that one loses nothing."""
    (folder.path / "gain").rename(folder.path / f".gain.{'0' * 16}.old")
    (folder.path / f".gain.{'1' * 16}.partial").mkdir()
    with pytest.raises(ZeroDivisionError), folder.replacing("gain"):
        raise ZeroDivisionError
    assert texts(folder) == ["old"]
    assert names(folder) == ["gain"]


def test_attempt_that_began_last_makes_the_product(folder: RecipeRunFolder) -> None:
    """An attempt that was thought dead cannot put its product over that of its successor."""

    def make_late() -> None:
        with folder.replacing("gain") as late:
            (late / "gain.fits").write_text("late")
            with folder.replacing("gain") as gain:
                (gain / "gain.fits").write_text("new")

    with pytest.raises(ProductSupersededError, match="another attempt began to make the product 'gain'"):
        make_late()
    assert texts(folder) == ["new"]
    assert names(folder) == ["gain"]


def test_tasks_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Two tasks make their products, whose names begin alike, at the same time; both are complete."""
    folder = RecipeRunFolder(tmp_path / "1")
    processes = [writer(folder, "a", "one"), writer(folder, "a.b", "two")]
    assert [process.communicate(timeout=120) for process in processes] == [("", ""), ("", "")]
    assert texts(folder, "a") == ["one"] * 5
    assert texts(folder, "a.b") == ["two"] * 5
    assert names(folder) == ["a", "a.b"]


def test_attempts_at_once_make_one_whole_product(tmp_path: Path) -> None:
    """Whatever two attempts at one product do to each other, the product is one of them, never a mixture."""
    folder = RecipeRunFolder(tmp_path / "1")
    processes = [writer(folder, "gain", text) for text in ("one", "two")]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert errors == ["", ""]
    if folder.has("gain"):
        assert texts(folder) in (["one"] * 5, ["two"] * 5)
    with folder.replacing("gain") as gain:
        (gain / "gain.fits").write_text("new")
    assert texts(folder) == ["new"]
    assert names(folder) == ["gain"]


def test_discarded_product_is_gone(folder: RecipeRunFolder) -> None:
    """Discarding removes the product. Discarding a missing product is allowed, also of a run without a folder."""
    assert folder.has("gain")
    folder.discard("gain")
    folder.discard("gain")
    RecipeRunFolder(folder.path / "nowhere").discard("gain")
    assert not folder.has("gain")
    assert names(folder) == []


def test_missing_product_is_named(folder: RecipeRunFolder) -> None:
    """The message says which product or file is missing, where, and what to do."""
    with pytest.raises(ProductMissingError, match=r"mean_dark holds no \*: the task .* run it first"):
        folder.files("mean_dark")
    with pytest.raises(ProductMissingError, match=r"gain holds no \*\.json"):
        folder.files("gain", "*.json")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "../2", "a/b", "a b", "ä", "a\n", "x" * 101])
def test_name_of_a_product_is_checked(folder: RecipeRunFolder, name: str) -> None:
    """No name leads out of the folder, is hidden, or means something else on another file system."""
    for use in (folder.files, folder.discard, folder.has, lambda each: folder.replacing(each).__enter__()):
        with pytest.raises(DataFolderError, match="cannot name a product"):
            use(name)
    assert names(folder) == ["gain"]


@pytest.mark.parametrize("value", ["", "data"])
def test_root_must_be_an_absolute_path(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error on a worker that is not configured names the variable to set."""
    monkeypatch.setenv("DKIST_DATA_FOLDER", value)
    with pytest.raises(DataFolderError, match=f"DKIST_DATA_FOLDER is '{value}'; set it on the workers"):
        RecipeRunFolder.from_environment(1)


def test_each_recipe_run_has_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipe runs do not see each other's products; a package may have a variable of its own."""
    monkeypatch.setenv("DKIST_VBI_DATA", str(tmp_path))
    assert RecipeRunFolder.from_environment(42, "DKIST_VBI_DATA").path == tmp_path / "42"
    with pytest.raises(RequestError, match="is not a positive integer"):
        RecipeRunFolder.from_environment(0, "DKIST_VBI_DATA")


def test_who_does_not_use_it_does_not_pay_for_it() -> None:
    """Neither `dkist_task` nor the launcher imports the room, or what only the room needs."""
    program = (
        "import sys, dkist_task, dkist_task.launcher\n"
        "print(sorted({'dkist_task.recipe_run', 'shutil', 'secrets', 'pathlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert "dkist_task.recipe_run" not in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr
