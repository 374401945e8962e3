"""A workflow made from another one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from dkist_task import TaskBase
from dkist_workflow import Node, Parameter, ResourceQueue, Workflow, WorkflowError
from tests.dkist_workflow.conftest import MakeWorkflow
from tests.dkist_workflow.tasks import Assemble, Calibrate, Copy, LoadLocal, Parse, make_task


def edges_of(workflow: Workflow) -> dict[str, tuple[str, ...]]:
    """Return the upstreams of each task, by name."""
    return {node.name: node.upstream_names for node in workflow.nodes}


def node_of(workflow: Workflow, name: str) -> Node:
    """Return the node of a name."""
    return next(node for node in workflow.nodes if node.name == name)


def test_a_variant_is_its_base_under_another_name(workflow: Workflow) -> None:
    """Category, version, package, tags, description, nodes and their order are the base's."""
    trial = workflow.variant("trial")
    assert trial.dag_id == "vbi_trial_1.0.0"
    assert trial.nodes == workflow.nodes
    for member in ("process_category", "workflow_version", "workflow_package", "tags", "parameters", "description"):
        assert getattr(trial, member) == getattr(workflow, member)
    assert trial.base is workflow
    assert trial.differences() == ()
    assert (workflow.base, workflow.differences()) == (None, ())


def test_what_is_given_takes_the_place_of_what_the_base_has(workflow: Workflow) -> None:
    """Tags, parameters, description and package may be the variant's own, also none at all."""
    bins = Parameter("bins", int, 1)
    trial = workflow.variant("trial", tags=[], parameters=[bins], description="A part.", workflow_package="dkist_task")
    assert (trial.tags, trial.parameters, trial.description) == ((), (bins,), "A part.")
    assert trial.distribution == "dkist-task"


def test_a_replacement_takes_the_place_and_the_needs_of_a_task(workflow: Workflow) -> None:
    """It has the upstreams, downstreams, queue and extras of the other, and its own name and settings."""
    trial = workflow.variant("trial", replace={Calibrate: LoadLocal})
    assert list(edges_of(trial)) == ["Parse", "CopyDarks", "CopyFlats", "LoadLocal", "Assemble"]
    assert node_of(trial, "LoadLocal") == Node(
        LoadLocal,
        "LoadLocal",
        upstream_names=("CopyDarks", "CopyFlats"),
        resource_queue=ResourceQueue.HIGH_MEMORY,
        pip_extras=("quality",),
    )
    assert edges_of(trial)["Assemble"] == ("LoadLocal", "Parse")
    assert node_of(trial, "LoadLocal").settings.retries == 0


def test_a_name_of_its_own_outlives_the_class(workflow: Workflow) -> None:
    """A task that was given a name keeps it, so one class may replace several tasks."""
    trial = workflow.variant("trial", replace={"CopyDarks": LoadLocal, "CopyFlats": LoadLocal})
    assert edges_of(trial) == edges_of(workflow)
    assert [node.task for node in trial.nodes] == [Parse, LoadLocal, LoadLocal, Calibrate, Assemble]


def test_tasks_may_change_places(workflow: Workflow) -> None:
    """Names need to be free in the variant only."""
    trial = workflow.variant("trial", replace={Parse: Assemble, Assemble: Parse})
    assert edges_of(trial)["Parse"] == ("Calibrate", "Assemble")
    trial = workflow.variant("trial", replace={Parse: Assemble}, remove=Assemble)
    assert list(edges_of(trial)) == ["Assemble", "CopyDarks", "CopyFlats", "Calibrate"]


def test_downstreams_of_a_removed_task_get_its_upstreams(workflow: Workflow) -> None:
    """The upstreams stand where the removed one stood, each once, through any number of removed tasks."""
    assert edges_of(workflow.variant("trial", remove=[Calibrate]))["Assemble"] == ("CopyDarks", "CopyFlats", "Parse")
    trial = workflow.variant("trial", remove=["CopyDarks", Calibrate, "CopyDarks"])
    assert edges_of(trial) == {"Parse": (), "CopyFlats": ("Parse",), "Assemble": ("Parse", "CopyFlats")}
    assert edges_of(workflow.variant("trial", remove=Parse))["CopyDarks"] == ()


def test_queues_and_extras_are_those_of_tasks_of_the_variant(workflow: Workflow) -> None:
    """They are given to the replacement, not to what it replaces; None and an empty list take away."""
    trial = workflow.variant(
        "trial",
        replace={Parse: LoadLocal},
        resource_queue={LoadLocal: ResourceQueue.GPU, Calibrate: None},
        pip_extras={"CopyDarks": ["B", "a"], Calibrate: []},
    )
    needs = {node.name: (node.resource_queue.value, node.pip_extras) for node in trial.nodes}
    assert needs == {
        "LoadLocal": ("gpu", ()),
        "CopyDarks": ("default", ("a", "b")),
        "CopyFlats": ("default", ()),
        "Calibrate": ("default", ()),
        "Assemble": ("default", ()),
    }


def test_a_whole_workflow_moves_to_another_queue(workflow: Workflow) -> None:
    """A dictionary of all tasks says it in one line."""
    everything = {node.name if node.has_own_name else node.task: ResourceQueue.GPU for node in workflow.nodes}
    bulk = workflow.variant("bulk", resource_queue=everything)
    assert {node.resource_queue for node in bulk.nodes} == {ResourceQueue.GPU}


def test_differences_say_what_a_person_looks_for(workflow: Workflow) -> None:
    """Removed tasks come first, then replaced, changed and added ones; tasks with other upstreams only are left out."""
    trial = workflow.variant(
        "trial",
        replace={Parse: LoadLocal, "CopyFlats": LoadLocal},
        remove=["CopyDarks"],
        resource_queue={Calibrate: ResourceQueue.GPU},
        pip_extras={Calibrate: ["a", "b"]},
    )
    trial.add_node(Copy, upstreams=Assemble)
    module = "tests.dkist_workflow.tasks"
    assert [(difference.kind.value, str(difference)) for difference in trial.differences()] == [
        ("removed", "CopyDarks: removed"),
        ("replaced", f"LoadLocal: class {module}:LoadLocal instead of {module}:Parse"),
        ("replaced", f"CopyFlats: class {module}:LoadLocal instead of {module}:Copy"),
        ("changed", "Calibrate: queue gpu instead of high_memory, extras a and b instead of quality"),
        ("added", "Copy: added"),
    ]
    assert [difference.before and difference.before.name for difference in trial.differences()][1] == "Parse"


def test_base_and_variant_go_separate_ways(workflow: Workflow) -> None:
    """A task that is added to one of them later is not in the other."""
    trial = workflow.variant("trial")
    workflow.add_node(LoadLocal)
    trial.add_node(Copy)
    assert {"LoadLocal", "Copy"} - edges_of(trial).keys() == {"LoadLocal"}
    assert {"LoadLocal", "Copy"} - edges_of(workflow).keys() == {"Copy"}
    assert [str(difference) for difference in trial.differences()] == ["Copy: added"]


def test_a_variant_has_variants(workflow: Workflow) -> None:
    """Each differs from the one that it was made from."""
    trial = workflow.variant("trial", remove=[Calibrate])
    short = trial.variant("short_trial", remove=["CopyDarks", "CopyFlats"])
    assert edges_of(short) == {"Parse": (), "Assemble": ("Parse",)}
    assert short.base is trial
    assert [difference.name for difference in short.differences()] == ["CopyDarks", "CopyFlats"]


class Stranger(TaskBase):
    """A task of no workflow."""

    def run(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"remove": [Stranger]}, "remove: the base has no task 'Stranger'; its tasks are Parse, CopyDarks, CopyFlats"),
        ({"remove": ["Copies"]}, "remove: the base has no task 'Copies'; its tasks are"),
        ({"remove": ["Parse"]}, "remove: task 'Parse' is given as text; give the class: Parse, without quotes"),
        ({"remove": 3}, "remove: 3 is not a task"),
        ({"remove": [Copy]}, "remove: task 'Copy' was added several times; give its name: 'CopyDarks' or 'CopyFlats'"),
        (
            {"remove": [Parse, "CopyDarks", "CopyFlats", Calibrate, Assemble]},
            "remove names every task; keep one at least",
        ),
        ({"replace": {Stranger: LoadLocal}}, "replace: the base has no task 'Stranger'"),
        ({"replace": {Parse: Parse}}, "replace: task 'Parse' is replaced by itself; leave it out"),
        ({"replace": {Parse: "LoadLocal"}}, "replace: task 'LoadLocal' is not a subclass of"),
        ({"replace": [Parse, LoadLocal]}, r"replace must be a dict whose keys are tasks, not \["),
        ({"replace": {Parse: LoadLocal}, "remove": Parse}, "task 'Parse' is both replaced and removed; do one of the"),
        (
            {"replace": {Parse: Calibrate}},
            "replace: task 'Calibrate', which is to replace 'Parse', would be in the variant twice; remove the other",
        ),
        (
            {"replace": {Assemble: Calibrate}},
            "replace: task 'Calibrate', which is to replace 'Assemble', would be in the variant twice",
        ),
        ({"replace": {Parse: LoadLocal, Assemble: LoadLocal}}, "replace: task 'LoadLocal', which is to"),
        ({"resource_queue": {Parse: "huge"}}, "task 'Parse': resource_queue 'huge' is not one of"),
        ({"resource_queue": ResourceQueue.GPU}, "resource_queue must be a dict whose keys are tasks"),
        (
            {"resource_queue": {Parse: None}, "replace": {Parse: LoadLocal}},
            "resource_queue: the variant has no task 'Parse'; its tasks are LoadLocal, ",
        ),
        ({"pip_extras": {Parse: "quality"}}, r"task 'Parse': pip_extras must be a list of names; write \['quality'\]"),
        ({"pip_extras": {Calibrate: ["a"]}, "remove": Calibrate}, "pip_extras: the variant has no task 'Calibrate'"),
    ],
)
def test_every_mistake_is_named(workflow: Workflow, changes: dict[str, Any], message: str) -> None:
    """The message names variant, base, argument and task, and says what to do."""
    with pytest.raises(WorkflowError, match=f"^workflow 'vbi_trial', variant of 'vbi_l0_to_l1': {message}"):
        workflow.variant("trial", **changes)


def test_mistakes_of_the_whole_are_named(workflow: Workflow, make_workflow: MakeWorkflow) -> None:
    """A variant needs another name than its base, and a base with tasks; its own values are checked as any others."""
    with pytest.raises(WorkflowError, match="variant of 'vbi_l0_to_l1': the two have the same name; give the variant"):
        workflow.variant("l0_to_l1")
    with pytest.raises(WorkflowError, match="the base has no task yet; make the variant after the last add_node"):
        make_workflow().variant("trial")
    with pytest.raises(WorkflowError, match="process_name 'my trial' is refused by Airflow"):
        workflow.variant("my trial")
    with pytest.raises(WorkflowError, match="tags must be a list of texts"):
        workflow.variant("trial", tags="trial")


def test_class_of_the_same_name_is_another_task(workflow: Workflow) -> None:
    """A class of a module that was imported twice is said to be another one."""
    twin = make_task("Twin")
    workflow.add_node(twin)
    with pytest.raises(WorkflowError, match=r"no task 'Twin' \(not the class that was added under this name\)"):
        workflow.variant("trial", remove=[make_task("Twin")])


def reachable(workflow: Workflow) -> dict[str, set[str]]:
    """Return all tasks that must have run before each, by name."""
    before: dict[str, set[str]] = {}
    for node in workflow.nodes:
        direct = set(node.upstream_names)
        before[node.name] = direct.union(*(before[name] for name in direct))  # KeyError where not added before
    return before


@pytest.mark.parametrize("seed", range(40))
def test_what_comes_before_what_is_kept_among_the_tasks_that_are_kept(seed: int, make_workflow: MakeWorkflow) -> None:
    """For any graph: the order among kept tasks is the base's, no edge is there twice, and there is no cycle."""
    chance = random.Random(seed)
    base = make_workflow()
    names = [f"Task{number}" for number in range(chance.randint(1, 20))]
    for place, name in enumerate(names):
        upstreams = [each for each in names[:place] if chance.random() < chance.choice([0.1, 0.5])]
        base.add_node(Copy, upstreams=chance.sample(upstreams, len(upstreams)), name=name)
    removed = [name for name in names if chance.random() < 0.4 and name != names[-1]]
    kept = [name for name in names if name not in removed]
    replaced: dict[type[TaskBase] | str, type[TaskBase]] = {name: LoadLocal for name in kept if chance.random() < 0.3}
    trial = base.variant("trial", remove=chance.sample(removed, len(removed)), replace=replaced)

    assert list(edges_of(trial)) == kept
    assert reachable(trial) == {name: before - set(removed) for name, before in reachable(base).items() if name in kept}
    assert all(len(set(upstreams)) == len(upstreams) for upstreams in edges_of(trial).values())
    assert {name for name in kept if node_of(trial, name).task is LoadLocal} == replaced.keys()
    assert {difference.name for difference in trial.differences()} == {*removed, *replaced}
    in_steps = base
    for number, name in enumerate(removed):
        in_steps = in_steps.variant(f"step{number}", remove=name)
    assert edges_of(in_steps) == edges_of(trial)
