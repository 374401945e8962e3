"""What the environment of a task will hold."""

from __future__ import annotations

import pytest

from dkist_build_utils import validate_workflows
from harness.packages import Package
from tests.dkist_build_utils.conftest import TASKS, Install, faults_of, instrument


@pytest.mark.parametrize("statement", ["import dkist_workflow", "import airflow", "import click"])
def test_task_that_imports_what_its_environment_lacks_is_a_fault(install: Install, statement: str) -> None:
    """A task whose module needs what nothing in its environment brings is a fault, with the line to move."""
    name = install(instrument(tasks=f"\n{statement}{TASKS}"))
    (fault,) = faults_of(name)
    module = statement.split()[1]
    assert f"{name}_main_dev: task 'Calibrate': line 2 of {name}/tasks.py imports '{module}' (of " in fault
    assert "move the import to a module that only the workflows import" in fault


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
