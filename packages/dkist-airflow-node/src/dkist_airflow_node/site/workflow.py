"""The exported workflows that an Airflow knows, recognised by what their DAG files set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dkist_airflow_node.messages import OWNER, ExportedWorkflow, exported_workflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_airflow_node.site.api import AirflowApi


def exported_workflows(api: AirflowApi) -> dict[str, ExportedWorkflow]:
    """Return every exported workflow by its DAG id, also those whose file is no longer deployed.

    A DAG is one of ours if it has our owner, and its tags have a name and a version that make its id.

    Parameters
    ----------
    api : AirflowApi
        The connection to Airflow.

    Returns
    -------
    dict[str, ExportedWorkflow]
        In the order of their ids.
    """
    rows = api.entries(f"/dags?owners={quote(OWNER)}&exclude_stale=false&order_by=dag_id", "dags")
    found = (_workflow(row) for row in rows)
    return {workflow.dag_id: workflow for workflow in found if workflow is not None}


def _workflow(row: Mapping[str, Any]) -> ExportedWorkflow | None:
    dag_id, owners, tags = row.get("dag_id"), row.get("owners"), row.get("tags")
    if not isinstance(dag_id, str) or not isinstance(owners, list) or OWNER not in owners or not isinstance(tags, list):
        return None
    names = {tag.get("name") for tag in tags if isinstance(tag, dict)}
    return exported_workflow(dag_id, {name for name in names if isinstance(name, str)})
