"""From the summit's frames to what a scientist gets."""

from __future__ import annotations

from dkist_processing_example.tasks.average_frames import AverageDarks, AverageGains
from dkist_processing_example.tasks.calibrate_frames import CalibrateFrames
from dkist_processing_example.tasks.draw_quick_look import DrawQuickLook
from dkist_processing_example.tasks.report_quality import ReportQuality
from dkist_processing_example.tasks.simulate_frames import SimulateFrames
from dkist_workflow import ResourceQueue, Workflow

l0_to_l1 = Workflow(
    process_category="example", process_name="l0_to_l1", workflow_package=__package__, description=__doc__
)
l0_to_l1.add_node(task=SimulateFrames, upstreams=None, pip_extras=["simulator"])
l0_to_l1.add_node(task=AverageDarks, upstreams=SimulateFrames)
l0_to_l1.add_node(task=AverageGains, upstreams=SimulateFrames)
l0_to_l1.add_node(
    task=CalibrateFrames, upstreams=[AverageDarks, AverageGains], resource_queue=ResourceQueue.HIGH_MEMORY
)
l0_to_l1.add_node(task=DrawQuickLook, upstreams=CalibrateFrames, pip_extras=["quicklook"])
l0_to_l1.add_node(task=ReportQuality, upstreams=CalibrateFrames)
