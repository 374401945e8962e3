"""From raw spectra to a picture."""

from __future__ import annotations

from dkist_workflow import Workflow

from template_instrument.tasks.average_spectra import AverageSpectra
from template_instrument.tasks.draw_quick_look import DrawQuickLook
from template_instrument.tasks.simulate_spectra import SimulateSpectra

l0_to_l1 = Workflow(
    process_category="template_instrument",
    process_name="l0_to_l1",
    workflow_package=__package__,
    description=__doc__,
)
l0_to_l1.add_node(task=SimulateSpectra)
l0_to_l1.add_node(task=AverageSpectra, upstreams=SimulateSpectra)
l0_to_l1.add_node(task=DrawQuickLook, upstreams=AverageSpectra, pip_extras=["quicklook"])
