"""The workflows can be released."""

from dkist_build_utils import validate_workflows
from template_instrument import workflows


def test_workflows_can_be_released():
    """No workflow has a fault."""
    validate_workflows(workflows)
