"""Validate, export, archive and deploy the workflows of an instrument package."""

from dkist_build_utils.__about__ import __version__
from dkist_build_utils.archive import archive
from dkist_build_utils.fault import BuildError, Fault, FaultsError
from dkist_build_utils.release import export
from dkist_build_utils.validation import Validation, validate_workflows

__all__ = [
    "BuildError",
    "Fault",
    "FaultsError",
    "Validation",
    "__version__",
    "archive",
    "export",
    "validate_workflows",
]
