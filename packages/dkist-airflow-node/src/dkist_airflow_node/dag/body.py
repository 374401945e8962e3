"""
A workflow as an Airflow DAG: each task runs in a Python environment of its own.

The text of this module is the fixed part of every exported DAG file, which goes on with the workflow's data. It imports
Airflow and the standard library only, and works on every Airflow 3; values reach the script in environment variables.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param


def make_dag(workflow: dict[str, Any], tasks: tuple[dict[str, Any], ...], script: str) -> DAG:
    """Return the DAG of a workflow, its table of tasks and the script that runs each of them."""

    def tell_of_failure(context: Any) -> None:
        """Publish the failure message; where that cannot be done, say so in the log."""
        try:
            from dkist_airflow_node import publish_failure  # hosts without it parse and run the DAG
        except ImportError as error:
            logging.getLogger(__name__).error(  # the traceback would say no more
                "No failure message is sent from this host, since dkist-airflow-node cannot be imported (%s). "
                "The dag-processor sends it when the run ends, if dkist-airflow-node is installed there.",
                error,
            )
        else:
            publish_failure(context, workflow_name=workflow["name"], workflow_version=workflow["version"])

    dag = DAG(
        workflow["dag_id"],
        description=workflow["description"],
        tags=workflow["tags"],
        schedule=None,
        catchup=False,
        is_paused_upon_creation=False,
        max_active_runs=workflow["max_active_runs"],
        default_args={"owner": "DKIST Data Center", "depends_on_past": False},
        on_failure_callback=tell_of_failure,
        params={
            "recipe_run_id": Param(
                type="integer", minimum=1, title="Recipe run id", description="The recipe run to process."
            )
        },
    )
    operators: dict[str, BashOperator] = {}
    for task in tasks:
        operator = BashOperator(
            task_id=task["task_id"],
            dag=dag,
            bash_command=script,
            append_env=True,
            env={
                **task["environment"],
                "DKIST_TASK": task["entry_point"],
                "DKIST_PYTHON": workflow["python"],
                "DKIST_WORKFLOW_NAME": workflow["name"],
                "DKIST_WORKFLOW_VERSION": workflow["version"],
                "DKIST_RECIPE_RUN_ID": "{{ params.recipe_run_id | int }}",
                "DKIST_TRY_NUMBER": "{{ ti.try_number }}",
                "TRACEPARENT": "{{ (ti.context_carrier | default({}, true)).get('traceparent') | default('', true) }}",
                "TRACESTATE": "{{ (ti.context_carrier | default({}, true)).get('tracestate') | default('', true) }}",
                "OTEL_SERVICE_NAME": workflow["name"],
            },
            skip_on_exit_code=None,
            do_xcom_push=False,
            queue=task["queue"],
            pool=task["pool"],
            retries=task["retries"],
            retry_delay=timedelta(seconds=task["retry_delay_seconds"]),
            execution_timeout=None if task["timeout_seconds"] is None else timedelta(seconds=task["timeout_seconds"]),
            on_failure_callback=tell_of_failure,
        )
        operator.set_upstream([operators[name] for name in task["upstreams"]])
        operators[task["task_id"]] = operator
    return dag
