"""Rows of text in columns."""

from __future__ import annotations

import pytest

from dkist_airflow_node.commands import table


def test_columns_are_as_wide_as_their_widest_cell_and_lines_end_without_blanks() -> None:
    """A line can be copied, and an empty last cell leaves nothing behind."""
    rows = [("Calibrate", "1", "lost its worker"), ("Write", "12", "")]
    assert table(("TASK", "TRIES", "REASON"), rows).splitlines() == [
        "TASK       TRIES  REASON",
        "Calibrate  1      lost its worker",
        "Write      12",
    ]
    assert table(("TASK",), []) == "TASK"


def test_a_row_of_another_length_is_an_error() -> None:
    """No cell is dropped silently."""
    with pytest.raises(ValueError, match="zip"):
        table(("TASK", "TRIES"), [("Calibrate",)])
