"""The kinds of worker that a task can ask for."""

from __future__ import annotations

from dkist_workflow import ResourceQueue


def test_every_queue_but_the_default_has_a_pool_of_its_own() -> None:
    """Pools limit the queues of scarce workers."""
    assert {queue.value: queue.pool for queue in ResourceQueue} == {
        "default": None,
        "high_memory": "high_memory_pool",
        "multi_core": "multi_core_pool",
        "gpu": "gpu_pool",
    }
