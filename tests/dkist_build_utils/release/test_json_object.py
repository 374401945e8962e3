"""JSON from a stranger, read member by member."""

from __future__ import annotations

from typing import Any

import pytest

from dkist_build_utils import BuildError
from dkist_build_utils.release.json_object import JsonObject


def test_members_are_read_once_and_the_rest_remains() -> None:
    """A reader that is older than the writer keeps what it does not know."""
    given: dict[str, Any] = {"a": "any text", "b": "name-1.0", "c": None, "d": ["x", "y"], "e": {"f": "g"}, "new": [1]}
    members = JsonObject(given, "manifest.json")
    assert members.text("a") == "any text"
    assert members.word("b") == "name-1.0"
    assert members.optional_word("c") is None
    assert members.words("d") == ("x", "y")
    assert members.texts("e") == {"f": "g"}
    assert members.others == {"new": [1]}
    assert len(given) == 6


@pytest.mark.parametrize(
    ("method", "value", "problem"),
    [
        ("text", 3, "'key': 3 is not a text"),
        ("word", "two words", "'key': 'two words' is not a name"),
        ("word", "--option", "'key': '--option' is not a name"),
        ("word", None, "'key': None is not a name"),
        ("optional_word", "", "'key': '' is not a name"),
        ("words", "name", "'key': 'name' is not a list"),
        ("words", ["name", 3], "'key': 3 is not a name"),
        ("items", {}, r"'key': {} is not a list"),
        ("texts", [], r"'key': \[\] is not a JSON object"),
        ("texts", {"f": 3}, "'key': 'f': 3 is not a text"),
        ("word_lists", {"f": ["a\n"]}, r"'key': 'f': 'a\\n' is not a name"),
    ],
)
def test_another_form_is_refused_with_place_and_member(method: str, value: object, problem: str) -> None:
    """The message says where, which member, and what it is not."""
    with pytest.raises(BuildError, match=f"^manifest.json: {problem}$"):
        getattr(JsonObject({"key": value}, "manifest.json"), method)("key")


def test_missing_member_and_long_values_take_one_short_line() -> None:
    """A message names the member that is missing, and shows the start of a long value only."""
    with pytest.raises(BuildError, match=r"^here: the member 'key' is missing$"):
        JsonObject({}, "here").text("key")
    with pytest.raises(BuildError, match=rf"^here: 'key': '{'a' * 79} is not a name$"):
        JsonObject({"key": "a" * 200 + " "}, "here").word("key")
    with pytest.raises(BuildError, match=r"^here: \[\] is not a JSON object$"):
        JsonObject([], "here")
