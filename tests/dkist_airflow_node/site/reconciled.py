"""A reconciliation of the last day, and what it leaves in the spool."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from dkist_airflow_node.messages import FailureMessage, Spool, read_message
from dkist_airflow_node.messages.failed_task import named_task
from dkist_airflow_node.site import AirflowApi, Reconciliation, reconcile, site_settings
from tests.dkist_airflow_node.messages.airflow_context import Instance, dag_context, task_context
from tests.dkist_airflow_node.site.airflow_server import CREATED, NOW

if TYPE_CHECKING:
    from tests.dkist_airflow_node.site.airflow_server import AirflowServer


def run(server: AirflowServer, spool: Spool, **more: Any) -> Reconciliation:
    """Reconcile the last day."""
    api = AirflowApi(site_settings({"DKIST_AIRFLOW_URL": server.url}))
    return reconcile(api, spool, **{"since": NOW - timedelta(days=1), "until": NOW + timedelta(hours=1), **more})


def spooled(spool: Spool) -> list[FailureMessage]:
    """Return the messages that wait."""
    return [FailureMessage.from_json(read_message(path)) for path in spool.paths()]


def callback_key(number: int = 0, *, task: str = "Calibrate", map_index: int = -1, is_dag: bool = False) -> str:
    """Return the key that a callback gives the failure of a task."""
    run = SimpleNamespace(run_id="r1", run_after=CREATED, clear_number=number, conf={})
    make = dag_context if is_dag else task_context
    return named_task(make(Instance(task_id=task, map_index=map_index), dag_run=run)).idempotency_key
