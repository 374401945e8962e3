"""A graph of tasks with a name and a version."""

from __future__ import annotations

from pathlib import Path

import pytest

from dkist_workflow import Node, Parameter, ResourceQueue, WorkflowError
from tests.dkist_workflow.conftest import MakeWorkflow
from tests.dkist_workflow.tasks import Assemble, Calibrate, Copy, Parse, make_task


def test_name_version_and_dag_id_are_made_of_category_name_and_version(make_workflow: MakeWorkflow) -> None:
    """The DAG id holds all three."""
    workflow = make_workflow()
    assert (workflow.workflow_name, workflow.workflow_version) == ("vbi_l0_to_l1", "1.0.0")
    assert workflow.dag_id == "vbi_l0_to_l1_1.0.0"


def test_version_falls_back_to_build_version_then_to_dev(
    make_workflow: MakeWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build pipeline gives the version; a developer needs none; an empty variable is no version."""
    assert make_workflow(workflow_version=None).workflow_version == "dev"
    monkeypatch.setenv("BUILD_VERSION", "")
    assert make_workflow(workflow_version=None).workflow_version == "dev"
    monkeypatch.setenv("BUILD_VERSION", "2.1.0")
    assert make_workflow(workflow_version=None).workflow_version == "2.1.0"
    assert make_workflow(workflow_version="3").workflow_version == "3"


def test_nodes_come_in_the_order_added_with_what_was_given(make_workflow: MakeWorkflow) -> None:
    """Every node has its task, name, upstreams, queue and extras."""
    workflow = make_workflow()
    workflow.add_node(task=Parse)
    workflow.add_node(
        task=Calibrate, upstreams=Parse, resource_queue=ResourceQueue.HIGH_MEMORY, pip_extras=["Qual_ity", "a", "a"]
    )
    workflow.add_node(task=Assemble, upstreams=[Parse, Calibrate, Parse])
    assert workflow.nodes == (
        Node(task=Parse, name="Parse"),
        Node(
            task=Calibrate,
            name="Calibrate",
            upstream_names=("Parse",),
            resource_queue=ResourceQueue.HIGH_MEMORY,
            pip_extras=("a", "qual-ity"),
        ),
        Node(task=Assemble, name="Assemble", upstream_names=("Parse", "Calibrate")),
    )


def test_a_class_is_used_several_times_under_names_of_its_own(make_workflow: MakeWorkflow) -> None:
    """A class is named as an upstream where it is there once, otherwise the name is."""
    workflow = make_workflow()
    workflow.add_node(Copy, name="CopyDarks")
    workflow.add_node(Parse, upstreams=Copy)
    workflow.add_node(Copy, upstreams="CopyDarks", name="CopyFlats")
    workflow.add_node(Copy, upstreams=["CopyFlats", Parse])
    assert [(node.name, node.upstream_names) for node in workflow.nodes] == [
        ("CopyDarks", ()),
        ("Parse", ("CopyDarks",)),
        ("CopyFlats", ("CopyDarks",)),
        ("Copy", ("CopyFlats", "Parse")),
    ]
    expected = "task 'Calibrate': upstreams: task 'Copy' was added several times; give its name: 'CopyDarks' or "
    with pytest.raises(WorkflowError, match=expected):
        workflow.add_node(Calibrate, upstreams=Copy)
    with pytest.raises(WorkflowError, match=r"task 'CopyDarks' has been added already \(as .*:Copy\); give one of the"):
        workflow.add_node(Parse, name="CopyDarks")
    with pytest.raises(WorkflowError, match="task name 'Copy Darks' is refused by Airflow"):
        workflow.add_node(Copy, name="Copy Darks")


def test_description_and_parameters_are_kept(make_workflow: MakeWorkflow) -> None:
    """The description may be a docstring, so its indentation goes; both may be left out."""
    bins = Parameter("bins", int, 4)
    described = make_workflow(description="Calibrate.\n\n    - all of it\n    ", parameters=[bins])
    assert described.description == "Calibrate.\n\n- all of it"
    assert described.parameters == (bins,)
    assert (make_workflow().description, make_workflow().parameters) == ("", ())


def test_tags_are_kept_in_their_order(make_workflow: MakeWorkflow) -> None:
    """Any iterable of texts will do, each of up to the 100 characters that Airflow keeps; None stands for none."""
    longest = "x" * 100
    assert make_workflow(tags=["solar", "a b", longest]).tags == ("solar", "a b", longest)
    assert make_workflow(tags=(tag for tag in ["é"])).tags == ("é",)
    assert make_workflow(tags=None).tags == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"process_category": ""}, "process_category '' is refused"),
        ({"process_name": "run.sh"}, "process_name 'run.sh' ends in '.sh'"),
        ({"workflow_version": ""}, "workflow 'vbi_l0_to_l1': workflow_version '' is refused"),
        ({"workflow_version": "1.0+local"}, r"workflow_version '1.0\+local' is refused"),
        ({"process_name": "x" * 250}, "workflow name .* has 254 characters; Airflow accepts 250"),
        ({"workflow_version": "1" * 240}, "workflow 'vbi_l0_to_l1': DAG id .* has 253 characters; Airflow accepts 250"),
        ({"workflow_package": None}, "workflow_package is None; pass __package__"),
        ({"workflow_package": ""}, "workflow_package is ''; pass __package__"),
        ({"tags": "vbi"}, r"tags must be a list of texts; write \['vbi'\]"),
        ({"tags": ["solar", "x" * 101]}, "workflow 'vbi_l0_to_l1': tag 'x+' must be printable text of 1 to 100 char"),
        ({"tags": [" "]}, "tag ' ' must be printable text"),
        ({"tags": [""]}, "tag '' must be printable text"),
        ({"tags": ["two\nlines"]}, r"tag 'two\\nlines' must be printable text"),
        ({"tags": ["\x1b[2J"]}, r"tag '\\x1b\[2J' must be printable text"),
        ({"tags": [3]}, "tag 3 must be printable text"),
        ({"description": 3}, "workflow 'vbi_l0_to_l1': description must be text, not 3"),
        ({"parameters": ["bins"]}, "workflow 'vbi_l0_to_l1': 'bins' in parameters is not a Parameter"),
    ],
)
def test_what_airflow_would_refuse_is_refused_where_it_is_written(
    make_workflow: MakeWorkflow, changes: dict[str, object], message: str
) -> None:
    """A wrong value is reported with what to write."""
    with pytest.raises(WorkflowError, match=message):
        make_workflow(**changes)


def test_upstream_that_was_never_added_is_refused_with_where_to_add_it(make_workflow: MakeWorkflow) -> None:
    """The message names workflow, task and upstream; nothing of the task is added."""
    workflow = make_workflow()
    expected = "workflow 'vbi_l0_to_l1': task 'Calibrate' names upstream 'Parse', which has not been added; add it bef"
    with pytest.raises(WorkflowError, match=expected):
        workflow.add_node(task=Calibrate, upstreams=Parse)
    with pytest.raises(WorkflowError, match="'Calibrate' names upstream 'Calibrate', which has not been added"):
        workflow.add_node(task=Calibrate, upstreams=[Calibrate])
    with pytest.raises(WorkflowError, match="names upstream 'Parse', which has not been added"):
        workflow.add_node(task=Calibrate, upstreams=["Parse"])
    with pytest.raises(WorkflowError, match="task 'Calibrate': upstreams: 3 is not a task; give a task class, or the"):
        workflow.add_node(task=Calibrate, upstreams=3)  # type: ignore[arg-type]
    assert workflow.nodes == ()


def test_upstream_with_the_name_of_another_class_is_refused(make_workflow: MakeWorkflow) -> None:
    """Two classes of one name are two tasks."""
    workflow = make_workflow()
    workflow.add_node(task=make_task("Twin"))
    twin = make_task("Twin")
    with pytest.raises(WorkflowError, match=r"names upstream 'Twin' \(not the class that was added under this name\)"):
        workflow.add_node(task=Parse, upstreams=twin)


def test_task_added_twice_is_refused(make_workflow: MakeWorkflow) -> None:
    """A name stands for one task, also where another module has one of that name."""
    workflow = make_workflow()
    workflow.add_node(task=Parse)
    with pytest.raises(WorkflowError, match=r"task 'Parse' has been added already; give one of the two a name of its"):
        workflow.add_node(task=Parse)
    first = make_task("Same")
    workflow.add_node(task=first)
    with pytest.raises(WorkflowError, match=r"task 'Same' has been added already \(as .*:Same\)"):
        workflow.add_node(task=make_task("Same"))


def test_upstream_given_as_text_is_refused_with_what_to_write(make_workflow: MakeWorkflow) -> None:
    """A class is given as a class, so that an editor finds it."""
    workflow = make_workflow()
    workflow.add_node(Parse)
    with pytest.raises(WorkflowError, match="'Calibrate': upstreams: task 'Parse' is given as text; give the class: P"):
        workflow.add_node(Calibrate, upstreams=["Parse"])


def test_mistakes_of_a_task_are_reported_with_the_workflow(make_workflow: MakeWorkflow) -> None:
    """A wrong class, queue or extra adds nothing."""
    workflow = make_workflow()
    with pytest.raises(WorkflowError, match=r"^workflow 'vbi_l0_to_l1': task <class 'int'> is not a subclass of"):
        workflow.add_node(task=int)  # type: ignore[arg-type]
    with pytest.raises(WorkflowError, match=r"^workflow 'vbi_l0_to_l1': task 'Parse': resource_queue 'huge' is not"):
        workflow.add_node(task=Parse, resource_queue="huge")  # type: ignore[arg-type]
    with pytest.raises(WorkflowError, match=r"^workflow 'vbi_l0_to_l1': task 'Parse': pip_extras must be a list"):
        workflow.add_node(task=Parse, pip_extras="quality")
    assert workflow.nodes == ()


def test_empty_workflow_can_be_neither_loaded_nor_exported(make_workflow: MakeWorkflow, tmp_path: Path) -> None:
    """Nothing is written for a workflow without a task."""
    workflow = make_workflow()
    with pytest.raises(WorkflowError, match="workflow 'vbi_l0_to_l1' has no task; add one with add_node"):
        workflow.load()
    with pytest.raises(WorkflowError, match="workflow 'vbi_l0_to_l1' has no task"):
        workflow.export(tmp_path / "dags")
    assert list(tmp_path.iterdir()) == []


def test_distribution_is_that_of_the_package(make_workflow: MakeWorkflow) -> None:
    """Where no distribution holds the package, the message names the workflow."""
    assert make_workflow().distribution == "dkist-workflow"
    with pytest.raises(WorkflowError, match=r"^workflow 'vbi_l0_to_l1': the package 'no_such_package' cannot be"):
        _ = make_workflow(workflow_package="no_such_package").distribution
