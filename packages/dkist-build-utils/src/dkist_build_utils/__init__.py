"""Validate, export, archive and deploy the workflows of an instrument package."""

from dkist_build_utils.__about__ import __version__
from dkist_build_utils.content import Release
from dkist_build_utils.deployment import Deployed, DeployedVersion, deploy, deployed_versions, undeploy
from dkist_build_utils.difference import Change, differences, find_release
from dkist_build_utils.fault import BuildError, Fault, FaultsError
from dkist_build_utils.graph import mermaid, named_workflows, tree
from dkist_build_utils.manifest import Manifest
from dkist_build_utils.release import export
from dkist_build_utils.tarball import archive
from dkist_build_utils.timeline import render_timeline
from dkist_build_utils.validation import Validation, validate_workflows

__all__ = [
    "BuildError",
    "Change",
    "Deployed",
    "DeployedVersion",
    "Fault",
    "FaultsError",
    "Manifest",
    "Release",
    "Validation",
    "__version__",
    "archive",
    "deploy",
    "deployed_versions",
    "differences",
    "export",
    "find_release",
    "mermaid",
    "named_workflows",
    "render_timeline",
    "tree",
    "undeploy",
    "validate_workflows",
]
