"""The folder of a recipe run: one folder for each product, complete or absent.

Tasks of a run share nothing but this folder, so each may run on another worker, and be tried again. All that is needed
of the file system is that a rename within a folder is atomic.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_task.errors import DataFolderError, ProductMissingError, ProductSupersededError
from dkist_task.identity import recipe_run_id_from
from dkist_task.recipe_run.constants import Constants

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER_VARIABLE = "DKIST_DATA_FOLDER"
"""The environment variable that names the folder of all recipe runs, unless a package has one of its own."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)
_PARTIAL, _OLD, _GONE = "partial", "old", "gone"
"""The last part of a hidden folder's name: being written, being replaced, being removed."""


@dataclass(frozen=True)
class RecipeRunFolder:
    """The products and constants of one recipe run.

    Examples
    --------
    >>> import tempfile
    >>> folder = RecipeRunFolder(Path(tempfile.mkdtemp(), "42"))
    >>> with folder.replacing("mean_dark") as product:
    ...     _ = (product / "mean_dark.txt").write_text("1.5")
    >>> [path.name for path in folder.files("mean_dark")]
    ['mean_dark.txt']
    """

    path: Path
    """The folder that holds a folder for each product."""

    @classmethod
    def from_environment(cls, recipe_run_id: int, variable: str = FOLDER_VARIABLE) -> RecipeRunFolder:
        """Return the folder of a recipe run, which has its number, below the folder that a variable names.

        Parameters
        ----------
        recipe_run_id : int
            The recipe run.
        variable : str, optional
            The environment variable, set on the workers to the absolute path of a folder that all workers see.

        Raises
        ------
        DataFolderError
            The variable is not set, or does not hold an absolute path.
        RequestError
            The recipe run id is not a positive integer.
        """
        root = os.environ.get(variable, "")
        if not Path(root).is_absolute():
            raise DataFolderError(
                f"{variable} is {root!r}; set it on the workers to the absolute path of the folder that holds a folder "
                "for each recipe run"
            )
        return cls(Path(root, str(recipe_run_id_from(recipe_run_id))))

    def constants(self, task_name: str) -> Constants:
        """Return the constants of the recipe run, as the task of this name sees and sets them."""
        return Constants(self.path / ".constants", task_name)

    def has(self, product: str) -> bool:
        """Return whether a product is there; then it is complete."""
        return (self.path / _checked(product)).is_dir()

    def files(self, product: str, pattern: str = "*") -> tuple[Path, ...]:
        """Return the files of a product, sorted by path.

        Parameters
        ----------
        product : str
            The name of the product.
        pattern : str, optional
            Which of its files, as `Path.glob` reads it.

        Raises
        ------
        ProductMissingError
            There is none.
        """
        name = _checked(product)
        found = tuple(sorted(path for path in (self.path / name).glob(pattern) if path.is_file()))
        if not found:
            raise ProductMissingError(
                f"{self.path / name} holds no {pattern}: the task that makes the product {name!r} has not run for this "
                "recipe run, or was rolled back; run it first"
            )
        return found

    @contextmanager
    def replacing(self, product: str) -> Iterator[Path]:
        """Give an empty folder that becomes the product when the block ends, and is dropped when it raises.

        A task that is killed in the block leaves the product as it was, and the next attempt starts from an empty
        folder. If two attempts make the same product at once, the one that began last makes it.

        Parameters
        ----------
        product : str
            The name of the product: letters, digits, ``_``, ``.`` and ``-``, the first one a letter or a digit.

        Yields
        ------
        Path
            The folder to write to.

        Raises
        ------
        ProductSupersededError
            At the end of the block: another attempt has begun to make the product.
        """
        name = _checked(product)
        self._clear(name)
        partial = self._hidden(name, _PARTIAL)
        partial.mkdir(parents=True)
        try:
            yield partial
        except BaseException:  # also what unwinds a task that was stopped
            self._remove(name, partial)
            raise
        self._publish(name, partial)

    def discard(self, product: str) -> None:
        """Remove a product, if it is there, and what killed tasks left of it."""
        name = _checked(product)
        self._clear(name)
        self._remove(name, self.path / name)

    def _publish(self, name: str, partial: Path) -> None:
        """Put a complete folder in the place of the product."""
        target = self.path / name
        while partial.is_dir():
            old = self._hidden(name, _OLD)
            with suppress(FileNotFoundError):
                target.rename(old)
            try:
                partial.rename(target)
            except FileNotFoundError:
                with suppress(OSError):  # nothing was there, or the other attempt has put its product there
                    old.rename(target)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                # Two attempts began in the same moment, and the other one ended in this one: the last to end counts.
                self._remove(name, old)
            else:
                self._remove(name, old)
                return
        raise ProductSupersededError(
            f"another attempt began to make the product {name!r} in {self.path} while this one was at work, so what "
            "this one made was dropped; let the other attempt end"
        )

    def _clear(self, name: str) -> None:
        """Remove what other attempts at a product have left, or are still writing."""
        for hidden in self._all_hidden(name):
            if hidden.suffix == f".{_OLD}" and not (self.path / name).exists():
                with suppress(OSError):  # killed between two renames: the product that was there comes back
                    hidden.rename(self.path / name)
                    continue
            self._remove(name, hidden)

    def _all_hidden(self, name: str) -> list[Path]:
        pattern = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{16}}\.({_PARTIAL}|{_OLD}|{_GONE})")
        with suppress(FileNotFoundError):
            return [path for path in self.path.iterdir() if pattern.fullmatch(path.name)]
        return []

    def _hidden(self, name: str, kind: str) -> Path:
        return self.path / f".{name}.{secrets.token_hex(8)}.{kind}"

    def _remove(self, name: str, folder: Path) -> None:
        """Remove a folder in one step for all who look, whoever still writes to it."""
        gone = self._hidden(name, _GONE)
        with suppress(FileNotFoundError):
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)  # what stays is removed by the next attempt


def _checked(product: str) -> str:
    """Return the name of a product; DataFolderError if it cannot be that of a folder on every file system."""
    name = str(product)
    if not _NAME.fullmatch(name):
        raise DataFolderError(
            f"{name[:120]!r} cannot name a product: use up to 100 letters (a to z), digits, '_', '.' and '-', "
            "beginning with a letter or a digit"
        )
    return name
