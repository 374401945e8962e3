"""Constants: set once, whole, and by one task."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dkist_task.recipe_run import ConstantError, ConstantMissingError, Constants, RecipeRunFolder

SETTER = """
import pathlib, sys
from dkist_task.recipe_run import ConstantError, RecipeRunFolder
for number in range(100):
    try:
        RecipeRunFolder(pathlib.Path(sys.argv[1])).constants(sys.argv[2]).set(f"constant_{number}", sys.argv[2] * 1000)
    except ConstantError as error:
        assert "was set to" in str(error), error
    else:
        print(number)
"""


@pytest.fixture
def folder(tmp_path: Path) -> RecipeRunFolder:
    """Return the folder of a recipe run, which is not there yet."""
    return RecipeRunFolder(tmp_path / "1")


def constants(folder: RecipeRunFolder, task: str = "Parse") -> Constants:
    """Return the constants of the recipe run, as an attempt of a task sees them."""
    return folder.constants(task)


@pytest.mark.parametrize("value", ["text", "ä\n", 7, -0.5, True, None, [], [1, [2.5, "x"]], {"a": {"b": [None]}}])
def test_a_later_task_reads_what_was_set(folder: RecipeRunFolder, value: Any) -> None:
    """Every JSON value arrives as it was given."""
    constants(folder).set("value", value)
    found = constants(folder, "Calibrate")
    assert found["value"] == value
    assert type(found["value"]) is type(value)
    assert (list(found), len(found), "value" in found, found.get("other", 3)) == (["value"], 1, True, 3)


@pytest.mark.parametrize("value", [(1, 2), {1: "x"}, float("nan"), float("inf"), {1, 2}, b"x", object()])
def test_what_is_no_json_value_is_refused(folder: RecipeRunFolder, value: Any) -> None:
    """A value that a reader would not get back is refused before anything is written."""
    with pytest.raises(ConstantError, match="constant 'value'"):
        constants(folder).set("value", value)
    assert not folder.path.exists()


@pytest.mark.parametrize("name", ["", "a b", "../x", "a.json", ".x", "1a", "ä", "x\n", "x" * 101])
def test_name_of_a_constant_is_checked(folder: RecipeRunFolder, name: str) -> None:
    """A name is that of a variable; another is neither set nor found."""
    with pytest.raises(ConstantError, match="cannot name a constant"):
        constants(folder).set(name, 1)
    with pytest.raises(ConstantMissingError, match="has not been set"):
        constants(folder)[name]


def test_a_constant_belongs_to_the_task_that_set_it(folder: RecipeRunFolder) -> None:
    """Another task may set the same value, but no other one; the message names task and value."""
    constants(folder).set("wavelength", 430.5)
    constants(folder, "Other").set("wavelength", 430.5)
    with pytest.raises(ConstantError, match=r"'wavelength' was set to 430\.5 by task 'Parse', so task 'Other' cannot"):
        constants(folder, "Other").set("wavelength", 393.4)
    constants(folder, "Other").discard("wavelength")
    assert constants(folder)["wavelength"] == 430.5


def test_a_retry_sets_its_constant_anew(folder: RecipeRunFolder) -> None:
    """One attempt sets a constant once; the next attempt of the same task may find another value."""
    first = constants(folder)
    first.set("frames", 7)
    first.set("frames", 7)
    with pytest.raises(ConstantError, match="has been set to 7 in this attempt"):
        first.set("frames", 8)
    constants(folder).set("frames", 8)
    assert constants(folder, "Calibrate")["frames"] == 8


def test_missing_constant_is_named_with_those_like_it(folder: RecipeRunFolder) -> None:
    """The message has the near misses, else all that there are, and what to do."""
    with pytest.raises(ConstantMissingError, match=r"\(no constant has been set\); run the task that sets it first"):
        constants(folder)["frames"]
    for name in ("num_frames", "exposure"):
        constants(folder).set(name, 1)
    with pytest.raises(
        ConstantMissingError, match=r"^constant 'NumFrames' has not been set; did you mean 'num_frames'\?"
    ):
        constants(folder)["NumFrames"]
    with pytest.raises(ConstantMissingError, match="set are 'exposure', 'num_frames'"):
        constants(folder)["wavelength"]


def test_discarded_constant_may_be_set_by_another_task(folder: RecipeRunFolder) -> None:
    """``rollback`` takes a constant back."""
    own = constants(folder)
    own.discard("frames")
    own.set("frames", 7)
    own.discard("frames")
    own.set("frames", 8)
    own.discard("frames")
    constants(folder, "Other").set("frames", 9)
    assert constants(folder)["frames"] == 9


def test_of_tasks_at_once_one_sets_a_constant(folder: RecipeRunFolder) -> None:
    """Two processes that set the same constants: each constant is whole and of one of them; nothing else is left."""
    tasks = ("A", "B")
    program = [sys.executable, "-c", SETTER, str(folder.path)]
    processes = [
        subprocess.Popen([*program, task], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for task in tasks
    ]
    said = [process.communicate(timeout=120) for process in processes]
    assert [errors for _, errors in said] == ["", ""]
    numbers = [set(output.split()) for output, _ in said]
    assert numbers[0] | numbers[1] == {str(number) for number in range(100)}
    assert not numbers[0] & numbers[1]
    found = constants(folder)
    for task, own in zip(tasks, numbers, strict=True):
        assert {found[f"constant_{number}"] for number in own} <= {task * 1000}
    assert len(list((folder.path / ".constants").iterdir())) == 100


def test_damaged_file_is_named(folder: RecipeRunFolder) -> None:
    """A file that was changed by hand is an error with its path."""
    constants(folder).set("frames", 7)
    (folder.path / ".constants" / "frames.json").write_text("{")
    with pytest.raises(
        ConstantError, match=r"frames\.json does not hold a constant .* run the task that sets it again"
    ):
        constants(folder)["frames"]
