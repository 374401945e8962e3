"""Sizes in bytes, as people write them."""

from __future__ import annotations

import pytest

from dkist_airflow_node.commands import size_from_text, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("0B", 0),
        ("500B", 500),
        ("20GB", 20 * 1000**3),
        ("20 GiB", 20 * 1024**3),
        ("1.5k", 1500),
        (" 2tb ", 2 * 1000**4),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    """Units are decimal or binary, in either case, with or without a space."""
    assert size_from_text(text) == size


@pytest.mark.parametrize("text", ["20", "1.5"])
def test_a_size_without_a_unit_is_refused(text: str) -> None:
    """20 bytes are never what is meant by 20."""
    with pytest.raises(ValueError, match=f"'{text}' has no unit; write a number and a unit, such as 500MB"):
        size_from_text(text)


@pytest.mark.parametrize("text", ["", "GB", "20 apples", "-1GB", "1e3MB", "iB", "1iB"])
def test_anything_else_is_refused(text: str) -> None:
    """The error says what a size looks like."""
    with pytest.raises(ValueError, match="is not a size; write a number and a unit"):
        size_from_text(text)


@pytest.mark.parametrize("size", [1, 999, 1000, 12_300, 999_900_000, 7_000_000_000_000])
def test_what_is_written_can_be_read(size: int) -> None:
    """A size goes into an option as it came out of a table."""
    assert size_from_text(size_text(size)) == size
