"""The pools that a release needs."""

from __future__ import annotations

import json

import pytest

from dkist_build_utils.release.pools import pools_from_json, render_pools
from dkist_task import TaskBase
from dkist_workflow import ResourceQueue, Workflow


class Gain(TaskBase):
    """A task that does nothing."""

    def run(self) -> None:
        """Do nothing."""


def test_each_queue_with_a_pool_has_it_once_and_with_one_slot() -> None:
    """The default queue needs no pool; a new pool runs one task, so that it exhausts no worker."""
    workflow = Workflow("vbi", "l0_to_l1", "dkist_workflow", "1.0.0")
    for number, queue in enumerate([None, ResourceQueue.HIGH_MEMORY, ResourceQueue.GPU, ResourceQueue.HIGH_MEMORY]):
        workflow.add_node(Gain, name=f"Gain{number}", resource_queue=queue)
    content = render_pools([workflow, workflow])
    assert pools_from_json(content) == {
        "gpu_pool": {"slots": 1, "description": "Tasks of the queue gpu", "include_deferred": False},
        "high_memory_pool": {"slots": 1, "description": "Tasks of the queue high_memory", "include_deferred": False},
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"3",
        b'{"a": 3}',
        b'{"a": {"slots": 1}}',
        b'{"a": {"slots": "1", "description": "", "include_deferred": false}}',
        b'{"a": {"slots": 1, "description": "", "include_deferred": false, "more": 1}}',
        b'{"a":' * 50_000,
    ],
)
def test_what_airflow_would_not_import_is_refused(content: bytes) -> None:
    """Airflow gets the file as it is, so it is checked before."""
    with pytest.raises(ValueError, match=r"not the form of pools|Expecting"):
        pools_from_json(content)


def test_a_release_without_pools_has_an_empty_object() -> None:
    """The file is there in any case."""
    assert json.loads(render_pools([])) == {}
