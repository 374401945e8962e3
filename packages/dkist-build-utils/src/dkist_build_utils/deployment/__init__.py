"""Versions in Airflow's dags folder: deploy, list, undeploy."""

from __future__ import annotations

from dkist_build_utils.deployment.deployment import Deployed, DeployedVersion, deploy, deployed_versions, undeploy

__all__ = [
    "Deployed",
    "DeployedVersion",
    "deploy",
    "deployed_versions",
    "undeploy",
]
