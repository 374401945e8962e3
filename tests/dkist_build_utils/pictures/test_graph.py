"""Workflows drawn for people."""

from __future__ import annotations

import pytest

from dkist_build_utils import BuildError, mermaid, named_workflows, tree
from tests.dkist_build_utils.conftest import TASKS, WORKFLOW, Install, instrument


def test_tree_shows_every_edge_and_what_sets_tasks_apart(install: Install) -> None:
    """A task with two upstreams stands below the second and is named in brackets below the first."""
    name = install(instrument())
    (workflow,) = named_workflows(f"{name}.workflows")
    assert tree(workflow) == "\n".join(
        (
            f"{name}_main dev",
            "└─ Parse",
            "   ├─ Calibrate (high_memory) (retries: 2)",
            "   │  └─ [Assemble]",
            "   └─ Assemble (extras: quality)",
        )
    )


def test_mermaid_has_every_task_and_edge(install: Install) -> None:
    """The flowchart has a box a workflow, a node a task and an arrow an edge, and no name of a task as an id."""
    name = install(instrument())
    assert mermaid(named_workflows(name)) == "\n".join(
        (
            "flowchart TD",
            f'subgraph workflow1["{name}_main dev"]',
            '    task1_1["Parse"]',
            '    task1_2["Calibrate<br/>(high_memory)<br/>(retries: 2)"]',
            "    task1_1 --> task1_2",
            '    task1_3["Assemble<br/>(extras: quality)"]',
            "    task1_1 --> task1_3",
            "    task1_2 --> task1_3",
            "end",
        )
    )


def test_long_chain_is_drawn(install: Install) -> None:
    """A chain of more tasks than Python's stack is deep is drawn."""
    count = 1500
    tasks = TASKS + "".join(f"class Link{number}(Parse): ...\n" for number in range(count))
    workflow = """
from dkist_workflow import Workflow
from {package} import tasks

chain = Workflow("{package}", "chain", __package__)
for number in range(%d):
    chain.add_node(getattr(tasks, f"Link{number}"), upstreams=getattr(tasks, f"Link{number - 1}") if number else None)
"""
    name = install(instrument(tasks=tasks, **{"workflows.main": workflow % count}))
    (chain,) = named_workflows(name)
    assert len(tree(chain).splitlines()) == count + 1


@pytest.mark.parametrize("chosen", ["other", "{package}_other", "{package}_other_dev"])
def test_workflow_is_chosen_by_any_of_its_names(install: Install, chosen: str) -> None:
    """The name of the variable, of the workflow, and the DAG id choose."""
    other = WORKFLOW.replace('"main"', '"other"').replace("main =", "other =").replace("main.", "other.")
    name = install(instrument(**{"workflows.second": other}))
    (workflow,) = named_workflows(name, chosen.replace("{package}", name))
    assert workflow.workflow_name == f"{name}_other"


def test_unknown_workflow_is_answered_with_the_known_ones(install: Install) -> None:
    """A wrong name is answered with the right ones."""
    name = install(instrument())
    with pytest.raises(BuildError, match=f"has no workflow 'mian'; it has {name}_main"):
        named_workflows(name, "mian")
