"""Validate, export, archive and deploy the workflows of an instrument package."""

from __future__ import annotations

from dkist_build_utils.__about__ import __version__
from dkist_build_utils.checks import Validation, validate_workflows
from dkist_build_utils.deployment import (
    Audit,
    Deployed,
    DeployedVersion,
    Finding,
    Holdings,
    audit,
    deploy,
    deployed_versions,
    holdings,
    undeploy,
)
from dkist_build_utils.errors import BuildError, Fault, FaultsError, RecordError, SignatureError
from dkist_build_utils.local_run import RunSummary, TaskSummary, run_workflow
from dkist_build_utils.pictures import mermaid, named_workflows, render_timeline, svg, tree
from dkist_build_utils.records import RunRecord, prov_document, read_run, record_svg, write_crate
from dkist_build_utils.release import (
    Change,
    Manifest,
    Release,
    Signature,
    Verification,
    archive,
    differences,
    export,
    find_release,
    verify,
    write_containerfiles,
    write_notebook,
)

__all__ = [
    "Audit",
    "BuildError",
    "Change",
    "Deployed",
    "DeployedVersion",
    "Fault",
    "FaultsError",
    "Finding",
    "Holdings",
    "Manifest",
    "RecordError",
    "Release",
    "RunRecord",
    "RunSummary",
    "Signature",
    "SignatureError",
    "TaskSummary",
    "Validation",
    "Verification",
    "__version__",
    "archive",
    "audit",
    "deploy",
    "deployed_versions",
    "differences",
    "export",
    "find_release",
    "holdings",
    "mermaid",
    "named_workflows",
    "prov_document",
    "read_run",
    "record_svg",
    "render_timeline",
    "run_workflow",
    "svg",
    "tree",
    "undeploy",
    "validate_workflows",
    "verify",
    "write_containerfiles",
    "write_crate",
    "write_notebook",
]
