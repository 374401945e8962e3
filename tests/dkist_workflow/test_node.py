"""A task's place in a workflow."""

from __future__ import annotations

import pytest

from dkist_task import TaskSettings
from dkist_workflow import Node, ResourceQueue, WorkflowError
from dkist_workflow.node import check_extras, check_queue, find_node
from tests.dkist_workflow.tasks import Assemble, Calibrate, Copy, Parse

NODES = (Node(Parse, "Parse"), Node(Copy, "CopyDarks"), Node(Copy, "CopyFlats"), Node(Assemble, "Finish"))


def test_a_node_has_what_the_launcher_and_the_engine_need() -> None:
    """The entry point names the class, the settings are the class's."""
    node = Node(Calibrate, "Calibrate")
    assert node.entry_point == "tests.dkist_workflow.tasks:Calibrate"
    assert node.settings == TaskSettings(retries=2, retry_delay_seconds=5, timeout_seconds=60.5)
    assert not node.has_own_name
    assert Node(Copy, "CopyDarks").entry_point == "tests.dkist_workflow.tasks:Copy"
    assert Node(Copy, "CopyDarks").has_own_name


def test_a_task_is_found_by_its_class_or_by_its_own_name() -> None:
    """A class will do where it is there once; None is returned where nothing is found."""
    assert find_node(NODES, Parse) is NODES[0]
    assert find_node(NODES, "CopyFlats") is NODES[2]
    assert find_node(NODES, Assemble) is NODES[3]
    assert find_node(NODES, "Finish") is NODES[3]
    assert find_node(NODES, Calibrate) is None
    assert find_node(NODES, "Copy") is None
    both = (*NODES, Node(Copy, "Copy"))
    assert find_node(both, "Copy") is both[-1]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (Copy, "^task 'Copy' was added several times; give its name: 'CopyDarks' or 'CopyFlats'$"),
        ("Parse", "^task 'Parse' is given as text; give the class: Parse, without quotes$"),
        (Parse(1, "w", "1"), "^task 'Parse' is given as an instance; give the class itself$"),
        (3, "^3 is not a task; give a task class, or the name that a task was added under$"),
    ],
)
def test_a_task_named_wrongly_is_refused_with_what_to_write(reference: object, message: str) -> None:
    """There is one way to name each task."""
    with pytest.raises(WorkflowError, match=message):
        find_node(NODES, reference)


def test_queue_that_nobody_consumes_is_refused() -> None:
    """A task in an unknown queue would wait for ever."""
    assert check_queue("Parse", None) is ResourceQueue.DEFAULT
    assert check_queue("Parse", "gpu") is ResourceQueue.GPU
    with pytest.raises(WorkflowError, match=r"task 'Parse': resource_queue 'huge' is not one of ResourceQueue\.DEF"):
        check_queue("Parse", "huge")


def test_extras_are_normalised_sorted_and_each_once() -> None:
    """One set of extras has one spelling, so it has one lock."""
    assert check_extras("Parse", ["Qual_ity", "a", "qual.ity"]) == ("a", "qual-ity")
    assert check_extras("Parse", None) == ()


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        ("quality", r"pip_extras must be a list of names; write \['quality'\], not 'quality'"),
        (3, r"pip_extras must be a list of names; write \[3\]"),
        (["x]; import os"], r"'x\]; import os' in pip_extras is not the name of an extra"),
        ([""], "'' in pip_extras is not the name of an extra"),
        ([None], "None in pip_extras is not the name of an extra"),
    ],
)
def test_extras_that_are_no_names_are_refused(extras: object, message: str) -> None:
    """Text in place of a list would be taken letter by letter."""
    with pytest.raises(WorkflowError, match=f"^task 'Parse': {message}"):
        check_extras("Parse", extras)
