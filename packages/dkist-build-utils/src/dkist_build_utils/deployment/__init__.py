"""Versions in Airflow's dags folder: deploy, list, undeploy."""

from __future__ import annotations

from dkist_build_utils.deployment.deployment import Deployed, DeployedVersion, deploy, deployed_versions, undeploy
from dkist_build_utils.deployment.wheelhouse import Wheelhouse

__all__ = [
    "Deployed",
    "DeployedVersion",
    "Wheelhouse",
    "deploy",
    "deployed_versions",
    "undeploy",
]
