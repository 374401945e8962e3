"""The engine-free graph of tasks with a name and a version."""

from __future__ import annotations

from dkist_task.name import normalized_name
from dkist_workflow.__about__ import __version__
from dkist_workflow.detail import workflow_arguments, workflow_name_from_details
from dkist_workflow.distribution import distribution_of
from dkist_workflow.errors import EngineNotInstalledError, WorkflowError
from dkist_workflow.node import Node
from dkist_workflow.parameter import Parameter
from dkist_workflow.queue import ResourceQueue
from dkist_workflow.single import workflow_for_each
from dkist_workflow.variant import NodeDifference
from dkist_workflow.version import DEVELOPMENT_VERSION, build_version
from dkist_workflow.workflow import Workflow

__all__ = [
    "DEVELOPMENT_VERSION",
    "EngineNotInstalledError",
    "Node",
    "NodeDifference",
    "Parameter",
    "ResourceQueue",
    "Workflow",
    "WorkflowError",
    "__version__",
    "build_version",
    "distribution_of",
    "normalized_name",
    "workflow_arguments",
    "workflow_for_each",
    "workflow_name_from_details",
]
