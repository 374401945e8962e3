"""The pools that a release needs, in the form of ``airflow pools import``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dkist_workflow import Workflow

POOLS_NAME = "pools.json"
_NEW_POOL_SLOTS = 1
"""Slots of a pool that is created: one task at a time cannot exhaust a worker; who runs the workers raises it."""


def render_pools(workflows: Iterable[Workflow]) -> bytes:
    """Return the bytes of ``pools.json``: the pools of all queues that the workflows use."""
    queues = {node.resource_queue for workflow in workflows for node in workflow.nodes if node.resource_queue.pool}
    pools = {
        queue.pool: {
            "slots": _NEW_POOL_SLOTS,
            "description": f"Tasks of the queue {queue.value}",
            "include_deferred": False,
        }
        for queue in sorted(queues)
    }
    return (json.dumps(pools, indent=1, sort_keys=True) + "\n").encode()


def pools_from_json(content: bytes) -> dict[str, dict[str, Any]]:
    """Return the settings of each pool by name.

    Parameters
    ----------
    content : bytes
        The bytes of ``pools.json``.

    Raises
    ------
    ValueError
        They are not in the form that Airflow imports.
    """
    try:
        pools: dict[str, dict[str, Any]] = json.loads(content)
        forms = {(type(pool["slots"]), type(pool["description"]), len(pool)) for pool in pools.values()}
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("not the form of pools") from error
    if not forms <= {(int, str, 3)}:
        raise ValueError("not the form of pools")
    return pools
