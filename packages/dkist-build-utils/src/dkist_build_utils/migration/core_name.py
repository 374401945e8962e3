"""The names of dkist-processing-core that clients import, and what takes their place."""

from __future__ import annotations

import re
from dataclasses import dataclass

CORE = "dkist_processing_core"
CORE_DISTRIBUTION = "dkist-processing-core"
SETTINGS_MODULE = "core_settings"
"""The module that a client gets where it subclasses the settings of the core."""

METRIC_PREFIX = "dkist.processing."
"""What the core puts before the name of a metric: the name of its meter, and its own namespace."""


@dataclass(frozen=True)
class Successor:
    """What takes the place of a name."""

    module: str
    """Where it is imported from; empty for `SETTINGS_MODULE` of the client's own package."""
    name: str
    """Its name there."""


_TASK = Successor("dkist_task", "TaskBase")
_WORKFLOW = Successor("dkist_workflow", "Workflow")
_QUEUE = Successor("dkist_workflow", "ResourceQueue")

SUCCESSORS = {
    f"{CORE}.TaskBase": _TASK,
    f"{CORE}.task.TaskBase": _TASK,
    f"{CORE}.Workflow": _WORKFLOW,
    f"{CORE}.workflow.Workflow": _WORKFLOW,
    f"{CORE}.ResourceQueue": _QUEUE,
    f"{CORE}.resource_queue.ResourceQueue": _QUEUE,
    f"{CORE}.workflow.workflow_name_from_details": Successor("dkist_workflow", "workflow_name_from_details"),
    f"{CORE}.workflow.dag_name": Successor("dkist_task", "dag_id"),
    f"{CORE}.build_utils.validate_workflows": Successor("dkist_build_utils", "validate_workflows"),
    f"{CORE}.build_utils.export_dags": Successor("dkist_build_utils", "export"),
    f"{CORE}.notebook_utils.wait_for_notebook_save": Successor("dkist_task.notebook", "wait_for_notebook_save"),
    f"{CORE}.notebook_utils.export_notebook_by_path": Successor("dkist_task.notebook", "export_notebook_by_path"),
    f"{CORE}.config.DKISTProcessingCoreConfiguration": Successor("", "DKISTProcessingCoreConfiguration"),
}
"""By full name."""

_ADVICE = (
    (f"{CORE}.config", "there are no shared settings: read what you need in a settings class of this package"),
    (f"{CORE}.failure_callback", "failures are reported by every exported DAG; remove this code"),
    (f"{CORE}.build_utils.export_notebook", "use 'dkist-build export --notebook', or dkist_build_utils.write_notebook"),
    (f"{CORE}.node", "tasks of a workflow are in Workflow.nodes; their attributes are those of dkist_workflow.Node"),
    (f"{CORE}.tests", "the core's test packages are not replaced; write a workflow of your own"),
)


def advice(full_name: str) -> str:
    """Return what to do about a name that nothing replaces."""
    for prefix, text in _ADVICE:
        if full_name.startswith(prefix):
            return f"{full_name}: {text}"
    return f"{full_name}: nothing replaces it; remove it, or keep what you need of it in this package"


# The longest first, and not within a longer name.
_DOTTED = re.compile("|".join(rf"{re.escape(name)}\b" for name in sorted(SUCCESSORS, key=len, reverse=True)))


def renamed_in_text(text: str, settings_module: str) -> str:
    """Return a text with the successors of the dotted names in it."""

    def successor(found: re.Match[str]) -> str:
        each = SUCCESSORS[found[0]]
        return f"{each.module or settings_module}.{each.name}"

    return _DOTTED.sub(successor, text)
