"""Workflows for the tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dkist_workflow import ResourceQueue, Workflow
from tests.dkist_workflow.tasks import Assemble, Calibrate, Copy, Parse

MakeWorkflow = Callable[..., Workflow]


@pytest.fixture(autouse=True)
def no_build_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the version of a surrounding build out of the tests."""
    monkeypatch.delenv("BUILD_VERSION", raising=False)


@pytest.fixture
def make_workflow() -> MakeWorkflow:
    """Return a maker of workflows; what it is not given has a usable value."""

    def make(**changes: object) -> Workflow:
        settings: dict[str, object] = {
            "process_category": "vbi",
            "process_name": "l0_to_l1",
            "workflow_package": "dkist_workflow",
            "workflow_version": "1.0.0",
        }
        return Workflow(**(settings | changes))  # type: ignore[arg-type]  # wrong values are what is tested

    return make


@pytest.fixture
def workflow(make_workflow: MakeWorkflow) -> Workflow:
    """Return a workflow with tasks of every kind: ``Parse``, two of ``Copy``, ``Calibrate``, ``Assemble``."""
    workflow = make_workflow(tags=["solar"], description="All of it.")
    workflow.add_node(Parse)
    workflow.add_node(Copy, upstreams=Parse, name="CopyDarks")
    workflow.add_node(Copy, upstreams=Parse, name="CopyFlats")
    workflow.add_node(
        Calibrate,
        upstreams=["CopyDarks", "CopyFlats"],
        resource_queue=ResourceQueue.HIGH_MEMORY,
        pip_extras=["quality"],
    )
    workflow.add_node(Assemble, upstreams=[Calibrate, Parse])
    return workflow
