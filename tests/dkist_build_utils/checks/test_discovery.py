"""The workflows in the public modules of a package."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from dkist_build_utils import validate_workflows
from dkist_build_utils.checks import discover_workflows
from tests.dkist_build_utils.conftest import WORKFLOW, Install, faults_of, instrument


def test_workflow_imported_into_a_second_module_is_one(install: Install) -> None:
    """A workflow that two modules hold is found once."""
    name = install(instrument(**{"workflows.again": "from {package}.workflows.main import main as alias"}))
    (found,) = validate_workflows(name, airflow=False).workflows
    assert found.places == (f"{name}.workflows.again.alias", f"{name}.workflows.main.main")


def test_two_workflows_with_one_dag_id_name_both_places(install: Install) -> None:
    """Two workflows with equal DAG ids are a fault that names where each is."""
    name = install(instrument(**{"workflows.other": WORKFLOW}))
    (fault,) = faults_of(name)
    assert f"{name}.workflows.main.main and {name}.workflows.other.main" in fault


def test_dag_ids_that_differ_only_in_case_are_a_fault(install: Install) -> None:
    """Their files would be one on a file system that ignores case."""
    name = install(instrument(**{"workflows.other": WORKFLOW.replace('"main"', '"MAIN"')}))
    (fault,) = faults_of(name)
    assert "differ only in case" in fault


def test_package_without_workflow_is_a_fault(install: Install) -> None:
    """A package in which no public module holds a workflow cannot be released; private ones do not count."""
    name = install(instrument(**{"workflows.main": "", "_private": WORKFLOW}))
    (fault,) = faults_of(name)
    assert "no public module holds a Workflow" in fault


def test_unknown_package_says_what_is_missing() -> None:
    """A name that no installed distribution holds is reported as missing."""
    (fault,) = faults_of("no_such_package.workflows")
    assert "there is no module 'no_such_package'" in fault


def test_module_that_exits_is_a_fault(install: Install) -> None:
    """A module that calls sys.exit when imported does not end the check with success."""
    name = install(instrument(**{"workflows.leaves": "raise SystemExit(0)"}))
    (fault,) = faults_of(name)
    assert "SystemExit" in fault


def test_folder_without_init_is_looked_into(install: Install) -> None:
    """A folder that is a package without an __init__.py is searched too."""
    name = install(instrument(**{"more.late": WORKFLOW.replace('"main"', '"late"')}))
    Path(str(importlib.import_module(name).__file__)).parent.joinpath("more", "__init__.py").unlink()
    found = validate_workflows(name, airflow=False).workflows
    assert [each.workflow.workflow_name for each in found] == [f"{name}_late", f"{name}_main"]


def test_module_that_ends_the_process_is_a_fault(install: Install) -> None:
    """A module that calls os._exit when imported cannot end a build with success; its forked child still may."""
    forks = "import os\nchild = os.fork()\nif child == 0: os._exit(7)\nassert os.waitpid(child, 0)[1] == 7 << 8\n"
    leaves = {"workflows.leaves": "import os\nos._exit(0)", "workflows.more": "import posix\nposix._exit(0)"}
    name = install(instrument(**leaves, **{"workflows.forks": forks}))
    for fault, module in zip(faults_of(name), ("leaves", "more"), strict=True):
        assert f"{name}.workflows.{module}: the module does not import: SystemExit: os._exit(0); " in fault
        assert fault.endswith(f"(workflows/{module}.py:2)")


def test_workflows_in_containers_and_variants_are_found(install: Install) -> None:
    """A tuple, list or dict of workflows needs one public name; a variant is found like any workflow."""
    smoke = (
        "from dkist_workflow import workflow_for_each\n"
        "from {package}.tasks import Calibrate, Parse\n"
        "from {package}.workflows.main import main\n"
        "smoke = workflow_for_each([Parse, Calibrate], process_category='smoke', workflow_package=__package__)\n"
        "listed, trials = [smoke[0], 'text'], {'short': main.variant('short', remove=[Calibrate])}\n"
        "_hidden = (main.variant('hidden'),)\n"
    )
    name = install(instrument(**{"workflows.smoke": smoke}))
    places = {found.workflow.dag_id: found.places for found in validate_workflows(name, airflow=False).workflows}
    module = f"{name}.workflows.smoke"
    assert places == {
        f"{name}_main_dev": (f"{name}.workflows.main.main", f"{module}.main"),
        f"{name}_short_dev": (f"{module}.trials['short']",),
        "smoke_Calibrate_dev": (f"{module}.smoke[1]",),
        "smoke_Parse_dev": (f"{module}.smoke[0]", f"{module}.listed[0]"),
    }


@pytest.mark.parametrize("name", ["./folder", "", "my-instrument", ".workflows"])
def test_name_that_no_package_can_have(name: str) -> None:
    """A path, for example, is called what it is: the import system's own words for it help nobody."""
    (fault,) = discover_workflows(name).faults
    assert str(fault).endswith("it is not the dotted name of a package, such as my_instrument.workflows")
