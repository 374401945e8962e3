"""What a callback asks the Airflow that runs it, beyond its context.

Airflow is never imported here: outside an Airflow process there is nobody to ask. A question that this Airflow does not
know must not be put at all, since 3.0 and 3.1 log it and never answer.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)


def task_states(instance: Any, *, dag_id: str | None, run_id: str | None) -> dict[str, Any]:
    """Return the state of every task of a run, by task id; empty where Airflow does not tell.

    Airflow 3.0 does not tell the dag-processor.
    """
    if not _is_known("GetTaskStates"):
        return {}
    if not hasattr(instance, "get_task_states"):
        instance = getattr(sys.modules.get("airflow.sdk.execution_time.task_runner"), "RuntimeTaskInstance", None)
    if instance is None or dag_id is None or run_id is None:
        return {}
    try:
        states = instance.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    except Exception as error:  # the context alone must do then
        logger.warning("Airflow does not tell the states of run %r: %s: %s", run_id, type(error).__name__, error)
        return {}
    return dict(states) if isinstance(states, Mapping) else {}


def clear_number(*, dag_id: str | None, run_id: str | None) -> int | None:
    """Return how often a run has been cleared by now, on a worker; None where Airflow does not tell.

    The context of a task has the number of when the task started. It grows when another task of the run is cleared in
    the meantime, and the callback of the DAG will see the grown one. Airflow tells since 3.2.
    """
    communication = sys.modules.get("airflow.sdk.execution_time.comms")
    supervisor = getattr(sys.modules.get("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS", None)
    question = getattr(communication, "GetDagRun", None)
    if question is None or supervisor is None or dag_id is None or run_id is None or not _is_known("GetDagRun"):
        return None
    try:
        number = supervisor.send(question(dag_id=dag_id, run_id=run_id)).clear_number
    except Exception as error:  # the context's number must do then
        logger.warning("Airflow does not tell of run %r: %s: %s", run_id, type(error).__name__, error)
        return None
    return number if isinstance(number, int) else None


def names_the_failed_task() -> bool:
    """Tell whether the task that a callback of the DAG names has failed: before Airflow 3.2 it may be any task."""
    communication = sys.modules.get("airflow.sdk.execution_time.comms")
    return communication is None or hasattr(communication, "GetDagRun")


def _is_known(question: str) -> bool:
    """Tell whether the dag-processor, if this is a process of it, answers a question."""
    processor = sys.modules.get("airflow.dag_processing.processor")
    return processor is None or question in repr(processor.ToManager)
