"""Workflows of one task each."""

from __future__ import annotations

import pytest

from dkist_task import TaskBase
from dkist_workflow import ResourceQueue, Workflow, WorkflowError, workflow_for_each
from tests.dkist_workflow.tasks import Assemble, Calibrate, Parse


def smoke(*tasks: type[TaskBase], **changes: object) -> tuple[Workflow, ...]:
    """Return a smoke workflow for each task."""
    settings: dict[str, object] = {"process_category": "smoke", "workflow_package": "dkist_workflow"}
    return workflow_for_each(tasks, **(settings | changes))  # type: ignore[arg-type]  # wrong values are tested too


def test_each_task_has_a_workflow_named_by_it() -> None:
    """One line makes as many workflows as there are tasks, in their order, each of one task without upstreams."""
    workflows = smoke(Parse, Assemble, workflow_version="1.0.0", tags=(tag for tag in ["smoke"]))
    assert [workflow.dag_id for workflow in workflows] == ["smoke_Parse_1.0.0", "smoke_Assemble_1.0.0"]
    assert [[(node.task, node.name) for node in workflow.nodes] for workflow in workflows] == [
        [(Parse, "Parse")],
        [(Assemble, "Assemble")],
    ]
    assert all(workflow.tags == ("smoke",) and workflow.workflow_package == "dkist_workflow" for workflow in workflows)
    assert smoke() == ()


def test_some_tasks_need_a_queue_or_extras() -> None:
    """They are given as in `Workflow.variant`: by task."""
    parse, calibrate = smoke(
        Parse, Calibrate, resource_queue={Calibrate: ResourceQueue.GPU}, pip_extras={Parse: ["quality"]}
    )
    assert (parse.nodes[0].resource_queue, parse.nodes[0].pip_extras) == (ResourceQueue.DEFAULT, ("quality",))
    assert (calibrate.nodes[0].resource_queue, calibrate.nodes[0].pip_extras) == (ResourceQueue.GPU, ())


def test_mistakes_are_named() -> None:
    """The message says which task and which argument."""
    with pytest.raises(WorkflowError, match=r"^workflow_for_each: task 'Parse' is given twice; leave one out"):
        smoke(Parse, Parse)
    with pytest.raises(WorkflowError, match=r"^workflow_for_each: task 'Parse' is not a subclass"):
        smoke("Parse")  # type: ignore[arg-type]
    with pytest.raises(
        WorkflowError, match=r"^workflow_for_each: tasks must be a list of task classes; write \[Parse\]"
    ):
        workflow_for_each(Parse, process_category="smoke", workflow_package="dkist_workflow")  # type: ignore[arg-type]
    with pytest.raises(WorkflowError, match=r"^workflow_for_each: pip_extras: .*Assemble.* is not among the tasks"):
        smoke(Parse, pip_extras={Assemble: ["quality"]})
    with pytest.raises(WorkflowError, match=r"^workflow_for_each: pip_extras must be a dict whose keys are tasks"):
        smoke(Parse, pip_extras=["quality"])
    with pytest.raises(WorkflowError, match=r"^workflow_for_each: resource_queue must be a dict whose keys are tasks"):
        smoke(Parse, resource_queue=ResourceQueue.GPU)
    with pytest.raises(WorkflowError, match=r"^workflow_for_each: tasks must be a list of task classes; write \[3\]"):
        workflow_for_each(3, process_category="smoke", workflow_package="dkist_workflow")  # type: ignore[arg-type]
    with pytest.raises(WorkflowError, match=r"^workflow 'smoke_Parse': tags must be a list of texts; write \['x'\]"):
        smoke(Parse, tags="x")
