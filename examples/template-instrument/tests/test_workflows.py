"""The workflows can be released, and run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dkist_build_utils import RunSummary, validate_workflows

from template_instrument import workflows
from template_instrument.workflows.l0_to_l1 import l0_to_l1


def test_workflows_can_be_released() -> None:
    """No workflow has a fault."""
    validate_workflows(workflows, airflow=False)


def test_workflow_runs(run_workflow: Callable[..., RunSummary], data_folder: Path) -> None:
    """Every task runs in a process of its own, in order, and the picture is there."""
    summary = run_workflow(l0_to_l1, recipe_run_id=5)
    assert summary.is_done, [task.reason for task in summary.tasks]
    assert (data_folder / "5" / "quicklook" / "spectrum.png").exists()
