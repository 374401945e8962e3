"""Tasks are imported in an interpreter of their own, by the program `task_import`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from dkist_build_utils.checks.import_check import ImportEnvironment, imitated_import_faults
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


def test_environments_that_differ_see_what_each_would_see_alone(install: Install) -> None:
    """Shared imports part where a module is hidden in one environment only, in the middle of a module too."""
    chosen = "try:\n    import pytest as found\nexcept ImportError:\n    found = None\n"
    only = (
        "from {package}.shared import found\nfrom dkist_task import TaskBase\n"
        "if found is not None: raise ValueError('pytest is there')\n"
        "class Assemble(TaskBase):\n    def run(self) -> None: ...\n"
    )
    tasks = "import {package}.shared\nassert {package}.shared.found is None\n" + TASKS
    package = instrument(
        tasks=tasks.replace("assert", "import sys\nif 'dkist_build_utils' not in sys.modules: assert"),
        only=only.replace("if found", "import sys\nif 'dkist_build_utils' not in sys.modules and found"),
        shared=chosen,
        **{"workflows.main": WORKFLOW.replace("Assemble, Calibrate", "Calibrate") + "\n"},
    )
    text = package.modules["workflows.main"].replace(
        "\nmain = ", f"\nfrom {package.import_name}.only import Assemble\nmain = ", 1
    )
    modules = {**package.modules, "workflows.main": text}
    (fault,) = faults_of(install(replace(package, modules=modules, extras={"quality": ["pytest"]})))
    assert "task 'Assemble'" in fault
    assert "raises ValueError: pytest is there" in fault


def test_environments_that_hide_the_same_share_their_imports(tmp_path: Path) -> None:
    """Environments 0 and 2 hide the same module, so what both import is imported once; 1 parts from them first."""
    task = "from dkist_task import TaskBase\nclass Task(TaskBase):\n    def run(self): ...\n"
    (tmp_path / "a.py").write_text(task)
    (tmp_path / "longer.py").write_text(f"import heavy\n{task}")
    (tmp_path / "heavy.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write('once;')\n")
    hidden = {"hidden_module": "some-distribution"}
    environments = [
        ImportEnvironment(("a:Task", "longer:Task"), hidden),
        ImportEnvironment(("a:Task",), {}),
        ImportEnvironment(("longer:Task",), hidden),
    ]
    path = [*sys.path, str(tmp_path)]
    assert imitated_import_faults(sys.executable, environments, distribution="x", path=path) == [{}, {}, {}]
    assert (tmp_path / "imported").read_text() == "once;"
