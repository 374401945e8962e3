"""Which classes can be a task of a workflow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dkist_task import TaskBase
from dkist_workflow import WorkflowError
from dkist_workflow.task_class import check_task_class
from tests.dkist_workflow.tasks import Parse, forget_task, make_task


def test_sound_class_is_returned() -> None:
    """A class at the top level of an importable module is a task."""
    assert check_task_class(Parse) is Parse


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (int, r"^task <class 'int'> is not a subclass of dkist_task\.TaskBase$"),
        ("Parse", "^task 'Parse' is not a subclass"),
        (TaskBase, "is not a subclass"),
        (None, "^task None is not a subclass"),
    ],
)
def test_what_is_no_task_class_is_refused(task: object, message: str) -> None:
    """Only a subclass of TaskBase is a task."""
    with pytest.raises(WorkflowError, match=message):
        check_task_class(task)


def test_instance_instead_of_a_class_is_refused_with_what_to_pass() -> None:
    """The commonest slip has its own advice."""
    with (
        Parse(recipe_run_id=1, workflow_name="w", workflow_version="1") as task,
        pytest.raises(WorkflowError, match="pass the class itself, not an instance"),
    ):
        check_task_class(task)


class Idle(TaskBase):
    """A task without a run method."""


def test_task_without_a_run_method_is_refused() -> None:
    """A class that nobody can make an instance of would only fail when it runs."""
    with pytest.raises(WorkflowError, match=r"^task 'Idle' is abstract: it does not define run$"):
        check_task_class(Idle)


async def run_asynchronously(_: TaskBase) -> None:
    """Do nothing, when awaited."""


def run_piecemeal(_: TaskBase) -> Iterator[None]:
    """Do nothing, when iterated over."""
    yield


@pytest.mark.parametrize("run", [run_asynchronously, run_piecemeal])
def test_task_whose_call_does_no_work_is_refused(run: object) -> None:
    """A run with ``async`` or ``yield`` would be a success that did nothing."""
    with pytest.raises(WorkflowError, match="task 'Undone': its run is defined with 'async' or 'yield'"):
        check_task_class(make_task("Undone", run=run))


def test_task_that_no_other_process_can_import_is_refused() -> None:
    """A class of __main__, of a function or under another name would only be missed on a worker."""

    class Local(TaskBase):
        def run(self) -> None:
            """Do nothing."""

    with pytest.raises(WorkflowError, match="task 'Local' is defined inside a function"):
        check_task_class(Local)
    with pytest.raises(WorkflowError, match="task 'Script' is defined in '__main__'"):
        check_task_class(make_task("Script", __module__="__main__"))
    hidden = make_task("Hidden")
    forget_task("Hidden")
    with pytest.raises(WorkflowError, match="task 'Hidden' cannot be imported by name"):
        check_task_class(hidden)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"retries": -1}, "retries must be an integer of at least 0 .* not -1"),
        ({"retry_delay_seconds": -0.1}, "retry_delay_seconds must be a number of at least 0"),
        ({"timeout_seconds": 0}, "timeout_seconds must be None or a number above 0"),
    ],
)
def test_setting_that_the_engine_cannot_use_is_refused(attributes: dict[str, object], message: str) -> None:
    """The message names the task and the attribute; `TaskSettings` knows what each may be."""
    with pytest.raises(WorkflowError, match=f"^task 'Unusable': {message}"):
        check_task_class(make_task("Unusable", **attributes))


def test_name_that_airflow_refuses_for_a_task_is_refused() -> None:
    """Python allows class names that Airflow does not."""
    with pytest.raises(WorkflowError, match=r"^task name 'Größe' is refused"):
        check_task_class(make_task("Größe"))
