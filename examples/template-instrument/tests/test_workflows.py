"""The workflows can be released."""

from __future__ import annotations

from template_instrument import workflows

from dkist_build_utils import validate_workflows


def test_workflows_can_be_released() -> None:
    """No workflow has a fault."""
    validate_workflows(workflows)
