"""Results of the compatibility runs count only for what they were made from."""

from __future__ import annotations

import re

import pytest

from harness.compatibility import PYTHONS, Result, sources, stale_cells, table, wanted_cells, with_table
from harness.compatibility_run import Cell
from harness.constraints import FOLDER, airflow_minors, write_constraints


def results() -> list[Result]:
    """Return a good and fresh result for everything that is supported."""
    return [
        Result(cell.airflow, cell.python, f"{cell.airflow}.9", "", sources(cell.airflow)) for cell in wanted_cells()
    ]


def test_every_airflow_is_run_on_every_python() -> None:
    """A new constraints file, or a new Python, asks for new runs."""
    assert len(wanted_cells()) == len(airflow_minors()) * len(PYTHONS) >= 12


def test_fresh_results_are_not_stale() -> None:
    """A current result is not run again."""
    assert stale_cells(results()) == {}


def test_missing_result_is_stale() -> None:
    """A combination without a result is reported."""
    assert stale_cells(results()[1:]) == {wanted_cells()[0]: "has not been run"}


@pytest.mark.parametrize("index", range(3))
def test_result_of_other_sources_is_stale(index: int) -> None:
    """The reason names the file that differs: constraints, the DAG's body or the runner."""
    first, *others = results()
    path = list(first.made_from)[index]
    first.made_from[path] = "another"
    assert stale_cells([first, *others]) == {Cell(first.airflow, first.python): f"was run before {path} changed"}


def test_table_shows_what_runs_fails_and_is_missing() -> None:
    """A row for each Airflow, the newest first, a column for each Python."""
    newest = airflow_minors()[-1]
    text = table(
        [
            Result(newest, PYTHONS[0], f"{newest}.9", "", {}),
            Result(newest, PYTHONS[1], f"{newest}.9", "the run failed in CalibrateFrames", {}),
        ]
    )
    assert text.splitlines()[2] == f"| {newest}.9 | runs | fails | not run |"


def test_table_is_put_between_its_markers() -> None:
    """The rest of the text is left alone, and a second time changes nothing."""
    begin, end = "<!-- made by `hatch run compat`: do not edit -->", "<!-- end of what `hatch run compat` makes -->"
    once = with_table(f"before\n{begin}\nold\n{end}\nafter\n", results())
    assert once == f"before\n{begin}\n{table(results())}\n{end}\nafter\n"
    assert with_table(once, results()) == once


def test_text_without_markers_is_refused() -> None:
    """A text without the markers is refused."""
    with pytest.raises(ValueError, match=r"README\.md must hold the lines"):
        with_table("no table here", results())


@pytest.mark.parametrize("airflow", airflow_minors())
def test_constraints_pin_versions_and_name_no_machine(airflow: str) -> None:
    """Each line is an exact version, perhaps with a marker: no address, no path, no option."""
    lines = (FOLDER / f"airflow-{airflow}.txt").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert [line for line in pinned if not re.fullmatch(r"[a-z0-9._-]+==[^ @/]+( ; [^@/]+)?", line)] == []
    assert any(line.startswith(f"apache-airflow=={airflow}.") for line in pinned)


@pytest.mark.parametrize("version", ["3", "3.4.1", "../3.4", ""])
def test_constraints_are_for_a_minor_version(version: str) -> None:
    """A malformed version is refused before anything is written."""
    with pytest.raises(ValueError, match="is not a minor version of Airflow such as"):
        write_constraints(version)
