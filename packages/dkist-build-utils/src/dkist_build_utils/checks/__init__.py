"""Find everything that is wrong with a package of workflows before anything is written."""

from __future__ import annotations

from dkist_build_utils.checks.cache import Cache, digest_of, stable_environment
from dkist_build_utils.checks.discovery import discover_workflows
from dkist_build_utils.checks.import_check import IMPORT_PROGRAM, import_faults
from dkist_build_utils.checks.requirement import TASK_REQUIREMENT
from dkist_build_utils.checks.step import timed_step
from dkist_build_utils.checks.validation import (
    Validation,
    check_imports,
    checked_workflows,
    validate_workflows,
    validation_of,
)

__all__ = [
    "IMPORT_PROGRAM",
    "TASK_REQUIREMENT",
    "Cache",
    "Validation",
    "check_imports",
    "checked_workflows",
    "digest_of",
    "discover_workflows",
    "import_faults",
    "stable_environment",
    "timed_step",
    "validate_workflows",
    "validation_of",
]
