"""Examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

PACKAGES = ("dkist_task", "dkist_workflow", "dkist_airflow_node", "dkist_build_utils", "harness")


def examples() -> Iterator[doctest.DocTest]:
    """Yield every docstring of the packages that has an example."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(module.name))
                yield from (test for test in found if test.examples)


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
def test_example_is_true(example: doctest.DocTest) -> None:
    """An example gives what its docstring says."""
    assert doctest.DocTestRunner().run(example).failed == 0
