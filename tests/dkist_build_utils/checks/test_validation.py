"""Every fault of a package of workflows."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from dkist_build_utils import FaultsError, validate_workflows
from harness.packages import Package
from tests.dkist_build_utils.conftest import TASKS, WORKFLOW, instrument

Install = Callable[[Package], str]


def faults_of(package: str) -> list[str]:
    """Return the faults of a package as texts, Airflow left aside."""
    with pytest.raises(FaultsError, match="fault") as caught:
        validate_workflows(package, airflow=False)
    return [str(fault) for fault in caught.value.faults]


def test_sound_package_has_no_fault(install: Install) -> None:
    """A package without fault is described: by its name and as a module object."""
    name = install(instrument())
    validation = validate_workflows(f"{name}.workflows", airflow=False)
    assert [found.workflow.dag_id for found in validation.workflows] == [f"{name}_main_dev"]
    assert validation == validate_workflows(importlib.import_module(f"{name}.workflows"), airflow=False)


def test_all_faults_are_reported_at_once(install: Install) -> None:
    """Four faults of four kinds in four modules are one error that names each, its workflow and its task."""
    name = install(
        instrument(
            **{
                "workflows.broken": "import {package}.missing",
                "workflows.empty": (
                    "from dkist_workflow import Workflow\nempty = Workflow('{package}', 'empty', __package__)"
                ),
                "workflows.extra": WORKFLOW.replace('"main"', '"extra"').replace('"quality"', '"qualty"'),
                "workflows.refused": (
                    "from dkist_workflow import Workflow\nbad = Workflow('{package}', 'a b', __package__)"
                ),
            }
        )
    )
    faults = faults_of(name)
    assert len(faults) == 4
    assert f"{name}.workflows.broken: the module does not import" in faults[0]
    assert f"{name}.missing" in faults[0]
    assert "'a b' is refused by Airflow" in faults[1]
    assert faults[2] == f"{name}_empty_dev: the workflow has no task; add one with add_node"
    assert "task 'Assemble'" in faults[3]
    assert "has no extra 'qualty'; it has quality" in faults[3]


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


def test_dag_id_that_no_archive_could_hold_is_a_fault(install: Install) -> None:
    """A hidden file, or one that looks like an option, is refused before it is exported."""
    name = install(instrument(**{"workflows.main": WORKFLOW.replace('Workflow("', 'Workflow(".')}))
    assert faults_of(name) == [
        f".{name}_main_dev: a file of a release cannot begin with '.' or '-'; change process_category"
    ]


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


@pytest.mark.parametrize("statement", ["import dkist_workflow", "import airflow", "import click"])
def test_task_that_imports_what_its_environment_lacks_is_a_fault(install: Install, statement: str) -> None:
    """A task whose module needs what nothing in its environment brings is a fault, with the line to move."""
    name = install(instrument(tasks=f"\n{statement}{TASKS}"))
    (fault,) = faults_of(name)
    module = statement.split()[1]
    assert f"{name}_main_dev: task 'Calibrate': line 2 of {name}/tasks.py imports '{module}' (of " in fault
    assert "move the import to a module that only the workflows import" in fault


def test_one_wrong_import_that_tasks_share_is_one_fault(install: Install) -> None:
    """A wrong import in a module that tasks share is reported once, with the names of the tasks."""
    name = install(instrument(tasks="from {package}.shared import it\n" + TASKS, shared="import airflow\nit = None\n"))
    (fault,) = faults_of(name)
    assert f"line 1 of {name}/shared.py imports 'airflow'" in fault
    assert fault.endswith("; the same fault in Assemble, Parse")


def test_tasks_and_workflows_in_one_module_are_a_fault(install: Install) -> None:
    """The most common mistake is a fault that names the import."""
    both = TASKS + WORKFLOW.replace("from {package}.tasks import Assemble, Calibrate, Parse", "")
    name = install(instrument(tasks=both, **{"workflows.main": ""}))
    assert all("imports 'dkist_workflow'" in fault for fault in faults_of(name))


def test_what_the_distribution_requires_may_be_imported(install: Install) -> None:
    """A package that requires dkist-workflow itself may import it in its tasks."""
    package = instrument(tasks=f"import dkist_workflow{TASKS}")
    dependent = Package(
        package.name,
        modules=package.modules,
        dependencies=["dkist-task", "dkist-workflow"],
        extras=package.extras,
    )
    assert not validate_workflows(install(dependent), airflow=False).faults


def test_task_module_that_ends_the_interpreter_is_named(install: Install) -> None:
    """A module that kills the interpreter in which tasks are imported is named, with the exit status."""
    source = f"import os, sys\nif 'dkist_build_utils' not in sys.modules: os._exit(7){TASKS}"
    name = install(instrument(tasks=source))
    assert any(f"importing '{name}.tasks' ended the interpreter with exit status 7" in text for text in faults_of(name))


def test_version_that_no_wheel_can_have_is_a_fault(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that Airflow accepts and no wheel can have is reported before a release is tried."""
    monkeypatch.setenv("BUILD_VERSION", "feature-x")
    (fault,) = faults_of(install(instrument()))
    assert "'feature-x' cannot be the version of a wheel" in fault


def test_workflows_of_two_versions_are_a_fault(install: Install) -> None:
    """A release has one version."""
    other = WORKFLOW.replace('"main", __package__', '"other", __package__, "2.0"')
    (fault,) = faults_of(install(instrument(**{"workflows.other": other})))
    assert "several versions" in fault


def test_a_real_airflow_loads_the_files(install: Install) -> None:
    """Where Airflow is installed, it loads every file in a process of its own, without touching the one here."""
    name = install(instrument())
    validation = validate_workflows(name, airflow=True)
    assert validation.is_loaded_in_airflow
    assert not validation.faults


def test_what_a_real_airflow_refuses_is_a_fault(tmp_path: Path) -> None:
    """A file that Airflow refuses is reported with Airflow's message, and so is one without a DAG."""
    from dkist_build_utils.programs import load_errors

    bad = b"from airflow.sdk import DAG\ndag = DAG('a b')\n"
    errors = load_errors(
        {"bad.py": bad, "none.py": b"import airflow\ndag = None\n", "good.py": bad.replace(b"a b", b"a")}
    )
    assert errors.keys() == {"bad.py", "none.py"}
    assert "alphanumeric" in errors["bad.py"]
    assert "no DAG" in errors["none.py"]
    assert not list(tmp_path.iterdir())
