"""Imports inside functions, found in the source."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dkist_build_utils import validate_workflows
from tests.dkist_build_utils.conftest import TASKS, Install, faults_of, instrument

# pytest and Airflow are installed here, and no environment of a task has them.
RUN = "def run(self) -> None: ..."


def tasks_that(body: str, top: str = "") -> str:
    """Return the tasks, of which Parse runs some lines."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return top + TASKS.replace(RUN, f"def run(self) -> None:\n{lines}", 1)


def test_import_in_a_method_names_file_line_and_module(install: Install) -> None:
    """An import that fails only when the task runs is a fault with the file and the line."""
    name = install(instrument(tasks=tasks_that("import pytest")))
    (fault,) = faults_of(name)
    assert f"{name}_main_dev: task 'Parse': {name}/tasks.py:6 imports 'pytest' (of pytest) for 'run'" in fault
    assert "add what holds 'pytest' to the dependencies" in fault


def test_extra_that_brings_the_module_is_named(install: Install) -> None:
    """Where an extra of the distribution holds the module, the advice is what to write."""
    package = instrument(tasks=tasks_that("from pytest import raises"))
    extras = {**package.extras, "simulator": ["pytest"]}
    (fault,) = faults_of(install(replace(package, extras=extras)))
    assert fault.endswith("add pip_extras=['simulator']")


@pytest.mark.parametrize(
    "body",
    [
        "from {package}.helper import simulate\nsimulate()",
        "from . import helper\nhelper.simulate()",
        "import {package}.helper as h\nh.simulate()",
    ],
)
def test_functions_of_the_package_are_followed(install: Install, body: str) -> None:
    """The fault names the module of the package that has the import."""
    helper = "def simulate():\n    inner()\n\ndef inner():\n    import pytest\n"
    name = install(instrument(tasks=tasks_that(body), helper=helper))
    (fault,) = faults_of(name)
    assert f"{name}/helper.py:5 imports 'pytest' (of pytest) for 'inner'" in fault


def test_module_that_a_function_imports_counts_with_its_top(install: Install) -> None:
    """A module of the package that is imported in a function is run then, and what it imports, too."""
    name = install(
        instrument(
            tasks=tasks_that("from {package}.late import it"),
            late="from {package}.later import it",
            later="import pytest\nit = 1",
        )
    )
    (fault,) = faults_of(name)
    assert f"{name}/later.py:1 imports 'pytest' (of pytest) for 'run'" in fault


@pytest.mark.parametrize(
    "body",
    [
        "try:\n    import pytest\nexcept ImportError:\n    pytest = None",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import pytest",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pytest",
        "import json",
        "from opentelemetry import trace",
    ],
)
def test_expected_and_present_modules_are_no_fault(install: Install, body: str) -> None:
    """Where a missing module is expected, or it is there, nothing is wrong."""
    name = install(instrument(tasks=tasks_that(body)))
    assert not validate_workflows(name, airflow=False).faults


def test_what_no_task_reaches_is_no_fault(install: Install) -> None:
    """A function that no task refers to may import what it likes, and so may an overridden method."""
    top = "def unused():\n    import pytest\n"
    base = "class Base(TaskBase):\n    def run(self): import pytest\n    def never(self): import pytest\n"
    tasks = TASKS.replace("class Parse(TaskBase)", f"{top}{base}\nclass Parse(Base)")
    assert not validate_workflows(install(instrument(tasks=tasks)), airflow=False).faults


def test_inherited_method_that_is_called_is_read(install: Install) -> None:
    """A method of a base class counts if something that the engine calls refers to it."""
    base = "class Base(TaskBase):\n    def run(self): self.load()\n    def load(self): import pytest\n"
    tasks = TASKS.replace("class Parse(TaskBase):\n    " + RUN, f"{base}\nclass Parse(Base): ...")
    (fault,) = faults_of(install(instrument(tasks=tasks)))
    assert "imports 'pytest' (of pytest) for 'load'" in fault


def test_module_that_nothing_holds_is_a_fault(install: Install) -> None:
    """A module that is nowhere here is a fault, if all that the environment will have is installed here."""
    (fault,) = faults_of(install(instrument(tasks=tasks_that("import no_such_module"))))
    assert "imports 'no_such_module' for 'run'" in fault
    package = instrument(tasks=tasks_that("import no_such_module"))
    package = replace(package, dependencies=[*package.dependencies, "not-installed-here"])
    assert not validate_workflows(install(package), airflow=False).faults
