"""Every fault of a package of workflows."""

from __future__ import annotations

import importlib

import pytest

from dkist_build_utils import FaultsError, validate_workflows
from dkist_build_utils.checks import airflow_check
from tests.dkist_build_utils.conftest import WORKFLOW, Install, faults_of, instrument


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


def test_dag_id_that_no_archive_could_hold_is_a_fault(install: Install) -> None:
    """A hidden file, or one that looks like an option, is refused before it is exported."""
    name = install(instrument(**{"workflows.main": WORKFLOW.replace('Workflow("', 'Workflow(".')}))
    assert faults_of(name) == [
        f".{name}_main_dev: a file of a release cannot begin with '.' or '-'; change process_category"
    ]


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


def test_airflow_is_asked_once_for_the_same_files(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that an Airflow loaded are not loaded again by the same one; those with an error are."""
    asked: list[int] = []
    answers: list[dict[str, str]] = [{"main.py": "no"}, {}]

    def load_errors(files: dict[str, bytes]) -> dict[str, str]:
        asked.append(len(files))
        return answers[len(asked) - 1]

    monkeypatch.setattr(airflow_check, "load_errors", load_errors)
    name = install(instrument())
    with pytest.raises(FaultsError, match="in Airflow: no"):
        validate_workflows(name, airflow=True)
    for _ in range(2):
        assert validate_workflows(name, airflow=True).is_loaded_in_airflow
    assert asked == [1, 1]


def test_steps_say_how_long_they_took(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    """What begins is logged at level INFO, and how long it took at level DEBUG, which commands show on a terminal."""
    caplog.set_level("DEBUG", "dkist_build_utils")
    validate_workflows(install(instrument()), airflow=False)
    began, ended, *_ = caplog.records
    assert (began.levelname, ended.levelname) == ("INFO", "DEBUG")
    assert ended.getMessage().endswith(f" s: {began.getMessage()}")
