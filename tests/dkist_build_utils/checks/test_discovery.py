"""The workflows that the public modules of a package hold."""

from __future__ import annotations

from collections.abc import Callable

from dkist_build_utils.checks import discover_workflows
from harness.packages import Package
from tests.dkist_build_utils.conftest import instrument


def test_workflows_in_containers_and_variants_are_found(install: Callable[[Package], str]) -> None:
    """A tuple, list or dict of workflows needs one public name; a variant is found like any workflow."""
    smoke = (
        "from dkist_workflow import workflow_for_each\n"
        "from {package}.tasks import Calibrate, Parse\n"
        "from {package}.workflows.main import main\n"
        "smoke = workflow_for_each([Parse, Calibrate], process_category='smoke', workflow_package=__package__)\n"
        "listed, trials = [smoke[0], 'text'], {'short': main.variant('short', remove=[Calibrate])}\n"
        "_hidden = (main.variant('hidden'),)\n"
    )
    name = install(instrument(**{"workflows.smoke": smoke}))
    places = {found.workflow.dag_id: found.places for found in discover_workflows(name).workflows}
    module = f"{name}.workflows.smoke"
    assert places == {
        f"{name}_main_dev": (f"{name}.workflows.main.main", f"{module}.main"),
        f"{name}_short_dev": (f"{module}.trials['short']",),
        "smoke_Calibrate_dev": (f"{module}.smoke[1]",),
        "smoke_Parse_dev": (f"{module}.smoke[0]", f"{module}.listed[0]"),
    }
