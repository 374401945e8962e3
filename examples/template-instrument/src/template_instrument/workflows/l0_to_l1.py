"""From raw to calibrated data."""

from __future__ import annotations

from dkist_workflow import ResourceQueue, Workflow
from template_instrument.tasks import Count, Report

l0_to_l1 = Workflow(
    process_category="template", process_name="l0_to_l1", workflow_package=__package__, description=__doc__
)
l0_to_l1.add_node(task=Count, resource_queue=ResourceQueue.HIGH_MEMORY)
l0_to_l1.add_node(task=Report, upstreams=Count, pip_extras=["quality"])
