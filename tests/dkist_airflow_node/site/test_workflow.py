"""Exported workflows are recognised by what their DAG files set."""

from __future__ import annotations

from dkist_airflow_node.messages import ExportedWorkflow
from dkist_airflow_node.site import AirflowApi, site_settings
from dkist_airflow_node.site.workflow import exported_workflows
from tests.dkist_airflow_node.site.airflow_server import airflow_server, dag_row


def test_other_dags_are_left_out() -> None:
    """A DAG of another owner, or one that was not exported, is not ours."""
    with airflow_server() as server:
        server.dags = [dag_row(), dag_row("copy_of_it"), dag_row("theirs_l0_1.0.0", owner="airflow")]
        api = AirflowApi(site_settings({"DKIST_AIRFLOW_URL": server.url}))
        assert exported_workflows(api) == {"vbi_l0_1.0.0": ExportedWorkflow("vbi_l0", "1.0.0")}
