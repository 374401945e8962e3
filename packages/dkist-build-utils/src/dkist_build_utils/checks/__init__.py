"""Find everything that is wrong with a package of workflows before anything is written."""

from __future__ import annotations

from dkist_build_utils.checks.discovery import discover_workflows
from dkist_build_utils.checks.import_check import import_faults
from dkist_build_utils.checks.requirement import TASK_REQUIREMENT
from dkist_build_utils.checks.validation import Validation, checked_workflows, validate_workflows, validation_of

__all__ = [
    "TASK_REQUIREMENT",
    "Validation",
    "checked_workflows",
    "discover_workflows",
    "import_faults",
    "validate_workflows",
    "validation_of",
]
