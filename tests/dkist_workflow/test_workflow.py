"""A graph of tasks with a name and a version."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dkist_task import TaskBase, TaskSettings
from dkist_workflow import Node, ResourceQueue, Workflow, WorkflowError


class Parse(TaskBase):
    """A first task."""

    def run(self) -> None:
        """Do nothing."""


class Calibrate(TaskBase):
    """A task that is tried again."""

    retries = 2
    retry_delay_seconds = 5
    timeout_seconds = 60.5

    def run(self) -> None:
        """Do nothing."""


class Assemble(TaskBase):
    """A last task."""

    def run(self) -> None:
        """Do nothing."""


@pytest.fixture
def make_workflow(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Workflow]:
    """Return a maker of workflows; what it is not told has a usable value."""
    monkeypatch.delenv("BUILD_VERSION", raising=False)

    def make(**changes: object) -> Workflow:
        settings: dict[str, object] = {
            "process_category": "vbi",
            "process_name": "l0_to_l1",
            "workflow_package": "dkist_workflow",
            "workflow_version": "1.0.0",
        }
        return Workflow(**(settings | changes))  # type: ignore[arg-type]  # wrong values are what is tested

    return make


def make_task(name: str, **attributes: object) -> type[TaskBase]:
    """Return a task class that can be imported from this module by name."""
    task = type(name, (TaskBase,), {"run": lambda _: None, "__module__": __name__, **attributes})
    globals()[name] = task
    return task


def test_name_version_and_dag_id_are_made_of_category_name_and_version(make_workflow: Callable[..., Workflow]) -> None:
    """The DAG id tells category, name and version."""
    workflow = make_workflow()
    assert (workflow.workflow_name, workflow.workflow_version) == ("vbi_l0_to_l1", "1.0.0")
    assert workflow.dag_id == "vbi_l0_to_l1_1.0.0"


def test_version_falls_back_to_build_version_then_to_dev(
    make_workflow: Callable[..., Workflow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build pipeline gives the version; a developer needs none; an empty variable is no version."""
    assert make_workflow(workflow_version=None).workflow_version == "dev"
    monkeypatch.setenv("BUILD_VERSION", "")
    assert make_workflow(workflow_version=None).workflow_version == "dev"
    monkeypatch.setenv("BUILD_VERSION", "2.1.0")
    assert make_workflow(workflow_version=None).workflow_version == "2.1.0"
    assert make_workflow(workflow_version="3").workflow_version == "3"


def test_nodes_come_in_the_order_added_with_all_that_was_said_of_them(make_workflow: Callable[..., Workflow]) -> None:
    """Every node tells its task, upstreams, queue, extras and retry settings."""
    workflow = make_workflow()
    workflow.add_node(task=Parse)
    workflow.add_node(
        task=Calibrate, upstreams=Parse, resource_queue=ResourceQueue.HIGH_MEMORY, pip_extras=["Qual_ity", "a", "a"]
    )
    workflow.add_node(task=Assemble, upstreams=[Parse, Calibrate, Parse])
    assert workflow.nodes == (
        Node(task=Parse),
        Node(
            task=Calibrate,
            upstreams=(Parse,),
            resource_queue=ResourceQueue.HIGH_MEMORY,
            pip_extras=("a", "qual-ity"),
        ),
        Node(task=Assemble, upstreams=(Parse, Calibrate)),
    )
    calibrate, assemble = workflow.nodes[1:]
    assert calibrate.entry_point == f"{__name__}:Calibrate"
    assert calibrate.settings == TaskSettings(retries=2, retry_delay_seconds=5, timeout_seconds=60.5)
    assert assemble.upstream_names == ("Parse", "Calibrate")


def test_every_queue_but_the_default_has_a_pool_of_its_own() -> None:
    """Pools bound the queues of scarce workers."""
    assert {queue.value: queue.pool for queue in ResourceQueue} == {
        "default": None,
        "high_memory": "high_memory_pool",
        "multi_core": "multi_core_pool",
        "gpu": "gpu_pool",
    }


class Instrument(str, enum.Enum):  # noqa: UP042  # the old kind is what is tested
    """A name given as a member of an enumeration of the old kind, whose str() is not its value."""

    VBI = "vbi"


def test_names_are_plain_text_whatever_kind_of_text_they_were_given_as(make_workflow: Callable[..., Workflow]) -> None:
    """A member of an enumeration counts as its value everywhere."""
    workflow = make_workflow(process_category=Instrument.VBI)
    assert type(workflow.process_category) is str
    assert workflow.dag_id == "vbi_l0_to_l1_1.0.0"


def test_no_tags_may_be_said_as_none(make_workflow: Callable[..., Workflow]) -> None:
    """None stands for what is not given, as it does for upstreams, queue and extras."""
    assert make_workflow(tags=None).tags == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"process_category": ""}, "process_category '' is refused"),
        ({"process_name": "l0 to l1"}, "process_name 'l0 to l1' is refused"),
        ({"process_name": "x\n"}, r"process_name 'x\\n' is refused"),
        ({"process_name": "{{ 7 }}"}, "process_name '{{ 7 }}' is refused"),
        ({"process_name": "näme"}, "process_name 'näme' is refused"),
        ({"process_name": None}, "process_name must be text, not None"),
        ({"process_name": "run.sh"}, "process_name 'run.sh' ends in '.sh'"),
        ({"workflow_version": ""}, "workflow 'vbi_l0_to_l1': workflow_version '' is refused"),
        ({"workflow_version": "1.0+local"}, r"workflow_version '1.0\+local' is refused"),
        ({"workflow_version": "1.bash"}, "workflow_version '1.bash' ends in '.sh' or '.bash'"),
        ({"workflow_version": 1.0}, "workflow_version must be text, not 1.0"),
        ({"process_name": "x" * 250}, "workflow name .* has 254 characters; Airflow accepts 250"),
        ({"workflow_version": "1" * 240}, "DAG id .* has 253 characters; Airflow accepts 250"),
        ({"workflow_package": None}, "workflow_package is None; pass __package__"),
        ({"workflow_package": ""}, "workflow_package is ''; pass __package__"),
        ({"tags": "vbi"}, r"tags must be a list of texts; write \['vbi'\]"),
        ({"tags": ["x" * 101]}, "must be printable text of 1 to 100 characters"),
        ({"tags": [" "]}, "tag ' ' must be printable text"),
    ],
)
def test_what_airflow_would_refuse_is_refused_where_it_is_written(
    make_workflow: Callable[..., Workflow], changes: dict[str, object], message: str
) -> None:
    """A wrong name, version, package or tag is told with what to write."""
    with pytest.raises(WorkflowError, match=message):
        make_workflow(**changes)


def test_longest_dag_id_is_accepted(make_workflow: Callable[..., Workflow]) -> None:
    """250 characters are as many as Airflow keeps."""
    assert len(make_workflow(process_name="x" * 240, workflow_version="1.0.0").dag_id) == 250


def test_task_that_is_none_is_refused(make_workflow: Callable[..., Workflow]) -> None:
    """Only a subclass of TaskBase is a task."""
    workflow = make_workflow()
    with pytest.raises(WorkflowError, match="workflow 'vbi_l0_to_l1': task <class 'int'> is not a subclass of"):
        workflow.add_node(task=int)  # type: ignore[arg-type]
    with pytest.raises(WorkflowError, match="task 'Parse' is not a subclass"):
        workflow.add_node(task="Parse")  # type: ignore[arg-type]
    with pytest.raises(WorkflowError, match="is not a subclass"):
        workflow.add_node(task=TaskBase)  # type: ignore[type-abstract]
    assert workflow.nodes == ()


def test_task_without_a_run_method_is_refused(make_workflow: Callable[..., Workflow]) -> None:
    """A class that nobody can make an instance of would fail at run time only."""
    idle = type("Idle", (TaskBase,), {"__module__": __name__})
    globals()["Idle"] = idle
    with pytest.raises(WorkflowError, match=r"task 'Idle' is abstract: it does not define run"):
        make_workflow().add_node(task=idle)


async def run_asynchronously(_: TaskBase) -> None:
    """Do nothing, when awaited."""


def run_piecemeal(_: TaskBase) -> Iterator[None]:
    """Do nothing, when iterated over."""
    yield


@pytest.mark.parametrize("run", [run_asynchronously, run_piecemeal])
def test_task_whose_call_does_no_work_is_refused(make_workflow: Callable[..., Workflow], run: object) -> None:
    """A run with ``async`` or ``yield`` would be a success that did nothing."""
    with pytest.raises(WorkflowError, match="task 'Undone': a call of its run does no work"):
        make_workflow().add_node(task=make_task("Undone", run=run))


def test_instance_instead_of_a_class_is_refused_with_what_to_pass(make_workflow: Callable[..., Workflow]) -> None:
    """The commonest slip has its own advice."""
    with (
        Parse(recipe_run_id=1, workflow_name="w", workflow_version="1") as task,
        pytest.raises(WorkflowError, match="pass the class itself, not an instance"),
    ):
        make_workflow().add_node(task=task)  # type: ignore[arg-type]


def test_upstream_that_was_never_added_is_refused_with_where_to_add_it(make_workflow: Callable[..., Workflow]) -> None:
    """The message names workflow, task and upstream; the task is not half-added."""
    workflow = make_workflow()
    expected = "workflow 'vbi_l0_to_l1': task 'Calibrate' names upstream 'Parse', which has not been added; add it bef"
    with pytest.raises(WorkflowError, match=expected):
        workflow.add_node(task=Calibrate, upstreams=Parse)
    with pytest.raises(WorkflowError, match="'Calibrate' names upstream 'Calibrate', which has not been added"):
        workflow.add_node(task=Calibrate, upstreams=[Calibrate])
    with pytest.raises(WorkflowError, match="names upstream \"'Parse'\", which has not been added"):
        workflow.add_node(task=Calibrate, upstreams=["Parse"])  # type: ignore[list-item]
    with pytest.raises(WorkflowError, match="names upstream '3', which has not been added"):
        workflow.add_node(task=Calibrate, upstreams=3)  # type: ignore[arg-type]
    assert workflow.nodes == ()


def test_upstream_with_the_name_of_another_class_is_refused(make_workflow: Callable[..., Workflow]) -> None:
    """Two classes of one name are two tasks."""
    workflow = make_workflow()
    workflow.add_node(task=make_task("Twin"))
    twin = make_task("Twin")
    with pytest.raises(WorkflowError, match="names upstream 'Twin', which has not been added"):
        workflow.add_node(task=Parse, upstreams=twin)


def test_task_added_twice_is_refused(make_workflow: Callable[..., Workflow]) -> None:
    """A name stands for one task, also where another module has one of that name."""
    workflow = make_workflow()
    workflow.add_node(task=Parse)
    with pytest.raises(WorkflowError, match="task 'Parse' has been added already; a workflow has each task name once"):
        workflow.add_node(task=Parse)
    first = make_task("Same")
    workflow.add_node(task=first)
    with pytest.raises(WorkflowError, match=r"task 'Same' has been added already \(as .*\.Same\)"):
        workflow.add_node(task=make_task("Same"))


def test_task_that_no_other_process_can_import_is_refused(make_workflow: Callable[..., Workflow]) -> None:
    """A class of __main__, of a function or under another name would be missed at run time, on a worker."""

    class Local(TaskBase):
        def run(self) -> None:
            """Do nothing."""

    workflow = make_workflow()
    with pytest.raises(WorkflowError, match="task 'Local' is defined inside a function"):
        workflow.add_node(task=Local)
    with pytest.raises(WorkflowError, match="task 'Script' is defined in '__main__'"):
        workflow.add_node(task=make_task("Script", __module__="__main__"))
    hidden = make_task("Hidden")
    del globals()["Hidden"]
    with pytest.raises(WorkflowError, match="task 'Hidden' cannot be imported by name"):
        workflow.add_node(task=hidden)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"retries": -1}, "retries must be an integer of at least 0 .* not -1"),
        ({"retries": 1.0}, "retries must be an integer"),
        ({"retries": True}, "retries must be an integer"),
        ({"retries": "2"}, "retries must be an integer"),
        ({"retry_delay_seconds": -0.1}, "retry_delay_seconds must be a number of at least 0"),
        ({"retry_delay_seconds": float("nan")}, "retry_delay_seconds must be a number"),
        ({"retry_delay_seconds": None}, "retry_delay_seconds must be a number"),
        ({"timeout_seconds": 0}, "timeout_seconds must be None or a number above 0"),
        ({"timeout_seconds": float("inf")}, "timeout_seconds must be None or a number"),
    ],
)
def test_unusable_retry_settings_are_refused(
    make_workflow: Callable[..., Workflow], attributes: dict[str, object], message: str
) -> None:
    """A setting that Airflow could not use is told with the task and the attribute."""
    with pytest.raises(WorkflowError, match=f"workflow 'vbi_l0_to_l1': task 'Unusable': {message}"):
        make_workflow().add_node(task=make_task("Unusable", **attributes))


def test_name_that_airflow_refuses_for_a_task_is_refused(make_workflow: Callable[..., Workflow]) -> None:
    """Python allows class names that Airflow does not."""
    with pytest.raises(WorkflowError, match="task name 'Größe' is refused"):
        make_workflow().add_node(task=make_task("Größe"))


def test_unknown_queue_and_unusable_extras_are_refused(make_workflow: Callable[..., Workflow]) -> None:
    """A queue nobody consumes would wait for ever; text in place of a list would be taken letter by letter."""
    workflow = make_workflow()
    with pytest.raises(WorkflowError, match=r"resource_queue 'huge' is none of ResourceQueue\.DEFAULT, "):
        workflow.add_node(task=Parse, resource_queue="huge")  # type: ignore[arg-type]
    with pytest.raises(WorkflowError, match=r"write \['quality'\], not 'quality'"):
        workflow.add_node(task=Parse, pip_extras="quality")
    with pytest.raises(WorkflowError, match=r"'x\]; import os' in pip_extras is not the name of an extra"):
        workflow.add_node(task=Parse, pip_extras=["x]; import os"])
    workflow.add_node(task=Parse, resource_queue="gpu")  # type: ignore[arg-type]
    assert workflow.nodes[0].resource_queue is ResourceQueue.GPU


def test_empty_workflow_can_be_neither_loaded_nor_exported(
    make_workflow: Callable[..., Workflow], tmp_path: Path
) -> None:
    """Nothing is written for a workflow without a task."""
    workflow = make_workflow()
    with pytest.raises(WorkflowError, match="workflow 'vbi_l0_to_l1' has no task; add one with add_node"):
        workflow.load()
    with pytest.raises(WorkflowError, match="workflow 'vbi_l0_to_l1' has no task"):
        workflow.export(tmp_path / "dags")
    assert list(tmp_path.iterdir()) == []
