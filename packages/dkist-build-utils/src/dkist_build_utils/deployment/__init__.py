"""Versions in Airflow's dags folder: deploy, list, undeploy, and what is known of what they hold."""

from __future__ import annotations

from dkist_build_utils.deployment.deployment import Deployed, DeployedVersion, deploy, deployed_versions, undeploy
from dkist_build_utils.deployment.finding import Audit, BrokenFile, Finding, audit
from dkist_build_utils.deployment.holding import Holding, Holdings, UnknownVersion, holdings
from dkist_build_utils.deployment.site import pools_missing_in_airflow
from dkist_build_utils.deployment.wheelhouse import Wheelhouse

__all__ = [
    "Audit",
    "BrokenFile",
    "Deployed",
    "DeployedVersion",
    "Finding",
    "Holding",
    "Holdings",
    "UnknownVersion",
    "Wheelhouse",
    "audit",
    "deploy",
    "deployed_versions",
    "holdings",
    "pools_missing_in_airflow",
    "undeploy",
]
