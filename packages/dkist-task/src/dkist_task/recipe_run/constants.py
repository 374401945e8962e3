"""The constants of a recipe run: small values that one task finds and later tasks read."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from dkist_task.errors import ConstantError, ConstantMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)


class _Stored(NamedTuple):
    """What the file of a constant holds."""

    value: Any
    """The value."""
    set_by: str
    """The task that set it."""


class Constants(Mapping[str, Any]):
    """The constants of a recipe run: each belongs to the task that sets it, and is there whole or not at all.

    A task sets a constant once. It may set it anew only when it runs again; no other task ever may.

    Parameters
    ----------
    folder : Path
        Where they are kept, one file each; made when the first one is set.
    task_name : str
        The task that sets constants through this object.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> Constants(folder, "ParseFrames").set("wavelength_nm", 430.5)
    >>> Constants(folder, "Calibrate")["wavelength_nm"]
    430.5
    >>> Constants(folder, "Calibrate")["wavelength"]
    Traceback (most recent call last):
    dkist_task.errors.ConstantMissingError: constant 'wavelength' has not been set; did you mean 'wavelength_nm'?
    """

    def __init__(self, folder: Path, task_name: str) -> None:
        self._folder = folder
        self._task_name = task_name
        self._set: dict[str, str] = {}

    def __getitem__(self, name: str) -> Any:
        """Return the value of a constant; ConstantMissingError if it has not been set."""
        stored = self._stored(name) if _is_name(name) else None
        if stored is None:
            raise ConstantMissingError(self._missing(name))
        return stored.value

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the constants that have been set, sorted."""
        try:
            names = sorted(path.name for path in self._folder.iterdir())
        except FileNotFoundError:
            return
        yield from (name.removesuffix(".json") for name in names if name.endswith(".json") and _is_name(name[:-5]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def set(self, name: str, value: Any) -> None:
        """Set a constant.

        Parameters
        ----------
        name : str
            Letters, digits and ``_``, as the name of a variable.
        value : JSON value
            A text, a finite number, True, False, None, or a list or a dictionary of such values.

        Raises
        ------
        ConstantError
            The name or the value cannot be kept; or the constant has another value, set by another task or by this
            attempt itself.
        """
        if not _is_name(name):
            raise ConstantError(f"{name!r:.120} cannot name a constant: use letters (a to z), digits and '_'")
        text = _json_text(name, value)
        if self._set.get(name, text) != text:
            raise ConstantError(f"constant {name!r} has been set to {self._set[name]} in this attempt; set it once")
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f".{name}.{secrets.token_hex(8)}.partial"
        try:
            with partial.open("x", encoding="utf-8") as file:
                json.dump({"value": value, "set_by": self._task_name}, file)
                file.flush()
                os.fsync(file.fileno())
            self._publish(name, partial, text)
        finally:
            partial.unlink(missing_ok=True)
        self._set[name] = text

    def discard(self, name: str) -> None:
        """Remove a constant, if this task set it: what `rollback` does."""
        stored = self._stored(name) if _is_name(name) else None
        if stored is not None and stored.set_by == self._task_name:
            self._path(name).unlink(missing_ok=True)
        self._set.pop(name, None)

    def _publish(self, name: str, partial: Path, text: str) -> None:
        """Let a complete file appear under the constant's name, unless another task's is there."""
        path = self._path(name)
        while True:
            try:
                path.hardlink_to(partial)  # fails where there is one: of two tasks at once, one sets the constant
            except FileExistsError:
                stored = self._stored(name)
                if stored is None:  # discarded in this moment
                    continue
                if stored.set_by == self._task_name:  # by an earlier attempt
                    partial.replace(path)
                elif _json_text(name, stored.value) != text:
                    raise ConstantError(
                        f"constant {name!r} was set to {_json_text(name, stored.value):.200} by task "
                        f"{stored.set_by!r}, so task {self._task_name!r} cannot set it to {text:.200}; use another name"
                    ) from None
            return

    def _stored(self, name: str) -> _Stored | None:
        path = self._path(name)
        try:
            found = json.loads(path.read_bytes())
            return _Stored(found["value"], str(found["set_by"]))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise ConstantError(
                f"{path} does not hold a constant ({error}); run the task that sets it again"
            ) from error

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _missing(self, name: object) -> str:
        from difflib import get_close_matches  # only an error pays for it

        known = list(self)
        near = get_close_matches(str(name).lower(), [each.lower() for each in known], n=3)
        meant = " or ".join(repr(each) for each in known if each.lower() in near)
        text = f"constant {name!r} has not been set"
        if meant:
            return f"{text}; did you mean {meant}?"
        held = f"set are {', '.join(map(repr, known))}" if known else "no constant has been set"
        return f"{text} for this recipe run ({held}); run the task that sets it first"


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _json_text(name: str, value: Any) -> str:
    """Return a value as JSON; ConstantError if a reader would get another value."""
    try:
        text = json.dumps(value, allow_nan=False, sort_keys=True)
        is_same = json.loads(text) == value
    except (TypeError, ValueError, RecursionError) as error:
        raise ConstantError(f"constant {name!r}: {error}; give texts, numbers, lists and dictionaries") from error
    if not is_same:
        raise ConstantError(
            f"constant {name!r}: a reader would get {text:.200} for {value!r:.200}; give lists in place of tuples, and "
            "texts as the keys of dictionaries"
        )
    return text
