"""The workflow, and what its tasks may import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dkist_build_utils import validate_workflows
from dkist_processing_example import workflows
from dkist_processing_example.workflows.l0_to_l1 import l0_to_l1
from dkist_workflow import Node, ResourceQueue

ABSENT = {
    "dkist_workflow": set[str](),
    "airflow": set[str](),
    "PIL": {"quicklook"},
    "dkist_data_simulator": {"simulator"},
}
"""What is importable here but not in a task's environment, unless the task asks for an extra."""


def test_graph_fans_out_and_in() -> None:
    """The order is that of the data."""
    upstreams = {node.name: set(node.upstream_names) for node in l0_to_l1.nodes}
    assert upstreams == {
        "SimulateFrames": set(),
        "AverageDarks": {"SimulateFrames"},
        "AverageGains": {"SimulateFrames"},
        "CalibrateFrames": {"AverageDarks", "AverageGains"},
        "DrawQuickLook": {"CalibrateFrames"},
        "ReportQuality": {"CalibrateFrames"},
    }


def test_calibration_runs_on_large_workers() -> None:
    """The one task that holds many frames asks for memory."""
    queues = {node.name: node.resource_queue for node in l0_to_l1.nodes if node.resource_queue != "default"}
    assert queues == {"CalibrateFrames": ResourceQueue.HIGH_MEMORY}


@pytest.mark.parametrize("node", l0_to_l1.nodes, ids=lambda node: node.name)
def test_task_imports_only_what_its_environment_holds(node: Node) -> None:
    """A task's module is importable where neither the workflow library nor another task's extras are."""
    absent = [name for name, extras in ABSENT.items() if not extras & set(node.pip_extras)]
    module, _, name = node.entry_point.partition(":")
    program = f"import sys; sys.modules.update(dict.fromkeys({absent!r})); from {module} import {name}"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_workflows_can_be_released() -> None:
    """No workflow of this package has a fault that the build would find."""
    validate_workflows(workflows)
