"""Workflows of one task each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dkist_workflow.errors import WorkflowError, errors_name
from dkist_workflow.node import pairs_of
from dkist_workflow.task_class import check_task_class
from dkist_workflow.workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_task import TaskBase
    from dkist_workflow.queue import ResourceQueue


def workflow_for_each(
    tasks: Iterable[type[TaskBase]],
    *,
    process_category: str,
    workflow_package: str,
    workflow_version: str | None = None,
    resource_queue: Mapping[type[TaskBase], ResourceQueue | None] | None = None,
    pip_extras: Mapping[type[TaskBase], Iterable[str] | None] | None = None,
    tags: Iterable[str] | None = None,
) -> tuple[Workflow, ...]:
    """Return one workflow for each task, named after it and with that task alone, for example smoke workflows.

    Bind the result to a public name of a module: ``dkist-build`` finds the workflows in it.

    Parameters
    ----------
    tasks : iterable of type of TaskBase
        The task classes.
    process_category : str
        The category of all of them, for example ``smoke``.
    workflow_package : str
        The dotted name of the package that defines them: pass ``__package__``.
    workflow_version : str, optional
        The version of all of them, as for `Workflow`.
    resource_queue : mapping of type of TaskBase to ResourceQueue, optional
        The queues of tasks that need another than the default.
    pip_extras : mapping of type of TaskBase to iterable of str, optional
        The extras of tasks that need some.
    tags : iterable of str, optional
        Further tags of all of them.

    Raises
    ------
    WorkflowError
        As for `Workflow` and `Workflow.add_node`; or a task is given twice, or a queue or extras are given to a class
        that is not among the tasks.
    """
    if isinstance(tasks, type) or not isinstance(tasks, Iterable):
        given = tasks.__name__ if isinstance(tasks, type) else tasks
        raise WorkflowError(f"workflow_for_each: tasks must be a list of task classes; write [{given}]")
    with errors_name("workflow_for_each"):
        queues = dict(pairs_of(resource_queue, "resource_queue"))
        extras = dict(pairs_of(pip_extras, "pip_extras"))
    tag_list = tags if tags is None or isinstance(tags, str) else tuple(tags)
    workflows: dict[type[TaskBase], Workflow] = {}
    for task in tasks:
        with errors_name("workflow_for_each"):
            check_task_class(task)
            if task in workflows:
                raise WorkflowError(f"task {task.__name__!r} is given twice; leave one out")
        workflow = Workflow(process_category, task.__name__, workflow_package, workflow_version, tags=tag_list)
        workflow.add_node(task, resource_queue=queues.pop(task, None), pip_extras=extras.pop(task, None))
        workflows[task] = workflow
    for argument, unused in (("resource_queue", queues), ("pip_extras", extras)):
        for task in unused:
            raise WorkflowError(f"workflow_for_each: {argument}: {task!r} is not among the tasks")
    return tuple(workflows.values())
