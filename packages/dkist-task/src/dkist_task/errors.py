"""The errors of this distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class TaskError(Exception):
    """Base of every error of this distribution."""


class RequestError(TaskError, ValueError):
    """The request cannot be carried out: the message says in one line what is wrong, where, and how to fix it."""


class SettingError(TaskError, ValueError):
    """A class attribute of a task has a value that the engine cannot use.

    Parameters
    ----------
    name : str
        The attribute.
    expected : str
        What it may be.
    value : object
        What it is.
    """

    def __init__(self, name: str, expected: str, value: object) -> None:
        super().__init__(f"{name} must be {expected}, not {value!r}")


class RecipeRunError(TaskError):
    """The folder of a recipe run cannot be used as asked; the base of the errors of `dkist_task.recipe_run`."""


class DataFolderError(RecipeRunError, ValueError):
    """The variable that names the folder of all recipe runs is missing or unusable, or a name is not allowed."""


class ProductMissingError(RecipeRunError, FileNotFoundError):
    """A product of another task is missing."""


class ProductSupersededError(RecipeRunError):
    """Another attempt began to make the same product, so this attempt's was dropped."""


class ConstantError(RecipeRunError, ValueError):
    """A constant cannot be set or read."""


class ConstantMissingError(RecipeRunError, KeyError):
    """A constant has not been set."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError shows its argument in quotes


class NotebookError(TaskError):
    """A notebook was not saved, or cannot be turned into text."""


class NotebookNotSavedError(NotebookError, TimeoutError):
    """A notebook was not saved in time."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self.seconds = seconds
        super().__init__(f"{path} was not saved within {seconds:g} s; save it, or switch autosave on, and run the cell")
