"""What a site knows of its workflows, from Airflow's REST API, the spool, the environment store and the dags folder."""

from __future__ import annotations

from dkist_airflow_node.site.api import AirflowApi
from dkist_airflow_node.site.reconciliation import Reconciliation, reconcile
from dkist_airflow_node.site.release import dags_folder
from dkist_airflow_node.site.settings import SiteSettings, site_settings
from dkist_airflow_node.site.status import AirflowFacts, SiteStatus, TaskFact, site_status

__all__ = [
    "AirflowApi",
    "AirflowFacts",
    "Reconciliation",
    "SiteSettings",
    "SiteStatus",
    "TaskFact",
    "dags_folder",
    "reconcile",
    "site_settings",
    "site_status",
]
