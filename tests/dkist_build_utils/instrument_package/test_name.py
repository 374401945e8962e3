"""What an instrument package may be called."""

from __future__ import annotations

import keyword
import re
import sys

import pytest

from dkist_build_utils import BuildError
from dkist_build_utils.instrument_package import PackageName


def test_a_name_has_three_spellings() -> None:
    """Distribution, import and environment variables have the same name, each in its own spelling."""
    name = PackageName.of("visp_l0")
    assert (name.distribution, name.import_name, name.variable) == ("visp-l0", "visp_l0", "VISP_L0")


@pytest.mark.parametrize(
    ("text", "reason", "proposal"),
    [
        ("My Instrument", "lower-case", "my-instrument"),
        ("Visp", "lower-case", "visp"),
        ("visp.l0", "lower-case", "visp-l0"),
        ("visp--l0", "lower-case", "visp-l0"),
        ("-visp", "lower-case", "visp"),
        ("visp\n", "lower-case", "visp"),
        ("../visp", "lower-case", "visp"),
        ("Señal", "lower-case", "senal"),
        ("2nd", "lower-case", "instrument-2nd"),
        ("", "lower-case", "my-instrument"),
        ("日本", "lower-case", "my-instrument"),
        ("class", "keyword of Python", "class-instrument"),
        ("statistics", "standard library", "statistics-instrument"),
        ("tests", "a folder of every instrument package", "tests-instrument"),
        ("numpy", r"an installed module \(.*numpy", "numpy-instrument"),
        ("dkist-task", "an installed module", "dkist-task-instrument"),
        ("pytest-timeout", "an installed", "pytest-timeout-instrument"),
        ("x" * 51, "51 characters", "x" * 50),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_one_that_can(text: str, reason: str, proposal: str) -> None:
    """The message names what is wrong and proposes a name, which is accepted."""
    with pytest.raises(BuildError, match=f"{reason}.*; '{proposal}' would do$"):
        PackageName.of(text)
    assert PackageName.of(proposal).distribution == proposal


@pytest.mark.parametrize("text", sorted(keyword.kwlist)[:40:5] + sorted(sys.stdlib_module_names)[::20])
def test_no_name_of_python_is_accepted(text: str) -> None:
    """Keywords and modules of the standard library are refused, and what is proposed instead is accepted."""
    with pytest.raises(BuildError, match="cannot be the name of a package") as caught:
        PackageName.of(text)
    found = re.search(r"'([^']+)' would do$", str(caught.value))
    assert found is not None
    PackageName.of(found[1])
