"""Tasks are imported in an interpreter of their own, by the program `task_import`."""

from __future__ import annotations

from tests.dkist_build_utils.conftest import TASKS, WORKFLOW, Install, faults_of, instrument


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


def test_task_module_that_ends_the_interpreter_is_named(install: Install) -> None:
    """A module that kills the interpreter in which tasks are imported is named, with the exit status."""
    source = f"import os, sys\nif 'dkist_build_utils' not in sys.modules: os._exit(7){TASKS}"
    name = install(instrument(tasks=source))
    assert any(f"importing '{name}.tasks' ended the interpreter with exit status 7" in text for text in faults_of(name))
