"""JSON from a stranger, read member by member."""

from __future__ import annotations

import re
from typing import Any

from dkist_build_utils.errors import BuildError

_WORD = re.compile(r"\w[\w.:+-]{0,499}")


class JsonObject:
    """A JSON object whose members are read one by one; those that nobody reads remain.

    Parameters
    ----------
    value : object
        What should be the object.
    place : str
        Where it stands, for messages.

    Raises
    ------
    BuildError
        The value is not an object. Every method raises it too, if the member is missing or has another form.
    """

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise BuildError(f"{place}: {value!r:.80} is not a JSON object")
        self._left: dict[str, Any] = dict(value)
        self._place = place

    @property
    def others(self) -> dict[str, Any]:
        """The members that have not been read."""
        return self._left

    def text(self, name: str) -> str:
        """Return a text."""
        value = self._pop(name)
        if not isinstance(value, str):
            raise self._error(name, value, "is not a text")
        return value

    def word(self, name: str) -> str:
        """Return a name: nothing that a terminal, a command or a requirements file could take for more."""
        return self._word(name, self._pop(name))

    def optional_word(self, name: str) -> str | None:
        """Return a name, or None for null."""
        value = self._pop(name)
        return None if value is None else self._word(name, value)

    def words(self, name: str) -> tuple[str, ...]:
        """Return a list of names."""
        return tuple(self._word(name, value) for value in self.items(name))

    def items(self, name: str) -> list[Any]:
        """Return a list of anything."""
        value = self._pop(name)
        if not isinstance(value, list):
            raise self._error(name, value, "is not a list")
        return value

    def texts(self, name: str) -> dict[str, str]:
        """Return an object of texts."""
        members = JsonObject(self._pop(name), f"{self._place}: {name!r}")
        return {key: members.text(key) for key in list(members.others)}

    def optional_texts(self, name: str) -> dict[str, str]:
        """Return an object of texts; an empty one if the member is missing."""
        return self.texts(name) if name in self._left else {}

    def word_lists(self, name: str) -> dict[str, tuple[str, ...]]:
        """Return an object of lists of names."""
        members = JsonObject(self._pop(name), f"{self._place}: {name!r}")
        return {key: members.words(key) for key in list(members.others)}

    def optional_text(self, name: str) -> str | None:
        """Return a text, or None if there is none."""
        return self.text(name) if name in self._left else None

    def optional_object(self, name: str) -> JsonObject | None:
        """Return an object, or None if there is none."""
        return JsonObject(self._left.pop(name), f"{self._place}: {name!r}") if name in self._left else None

    def optional_text_lists(self, name: str) -> dict[str, tuple[str, ...]]:
        """Return an object of lists of texts, empty if there is none."""
        members = self.optional_object(name)
        if members is None:
            return {}
        found = {key: members.items(key) for key in list(members.others)}
        for key, values in found.items():
            if not all(isinstance(value, str) for value in values):
                raise self._error(name, {key: values}, "is not a list of texts")
        return {key: tuple(values) for key, values in found.items()}

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self._pop(name)
        if not isinstance(value, bool):
            raise self._error(name, value, "is neither true nor false")
        return value

    def _pop(self, name: str) -> Any:
        if name not in self._left:
            raise BuildError(f"{self._place}: the member {name!r:.80} is missing")
        return self._left.pop(name)

    def _word(self, name: str, value: object) -> str:
        if not isinstance(value, str) or not _WORD.fullmatch(value):
            raise self._error(name, value, "is not a name")
        return value

    def _error(self, name: str, value: object, problem: str) -> BuildError:
        return BuildError(f"{self._place}: {name!r:.80}: {value!r:.80} {problem}")
