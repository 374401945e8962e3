"""What a callback asks the Airflow that runs it, beyond its context.

Airflow is never imported here: outside an Airflow process nobody answers. A question that this Airflow does not know
must not be asked at all: 3.0 and 3.1 log it and never answer.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)


def task_states(instance: Any, *, dag_id: str | None, run_id: str | None) -> dict[str, Any]:
    """Return the state of every task of a run, by task id.

    Parameters
    ----------
    instance : Any
        The task instance of the context, if it has one.
    dag_id, run_id : str or None
        Airflow's ids of the run.

    Returns
    -------
    dict[str, Any]
        Empty where Airflow does not answer: Airflow 3.0 does not, in the dag-processor.
    """
    if not _is_known("GetTaskStates"):
        return {}
    if not hasattr(instance, "get_task_states"):
        instance = getattr(sys.modules.get("airflow.sdk.execution_time.task_runner"), "RuntimeTaskInstance", None)
    if instance is None or dag_id is None or run_id is None:
        return {}
    try:
        states = instance.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    except Exception as error:  # go on with the context alone
        logger.warning("Airflow does not return the task states of run %r: %s: %s", run_id, type(error).__name__, error)
        return {}
    return dict(states) if isinstance(states, Mapping) else {}


def clear_number(*, dag_id: str | None, run_id: str | None) -> int | None:
    """Return how often a run has been cleared by now, on a worker.

    The context of a task holds the number from when the task started. It grows when another task of the run is cleared
    in the meantime, and the DAG's callback will see the new one.

    Parameters
    ----------
    dag_id, run_id : str or None
        Airflow's ids of the run.

    Returns
    -------
    int or None
        None where Airflow does not answer: Airflow answers since 3.2.
    """
    communication = sys.modules.get("airflow.sdk.execution_time.comms")
    supervisor = getattr(sys.modules.get("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS", None)
    question = getattr(communication, "GetDagRun", None)
    if question is None or supervisor is None or dag_id is None or run_id is None or not _is_known("GetDagRun"):
        return None
    try:
        number = supervisor.send(question(dag_id=dag_id, run_id=run_id)).clear_number
    except Exception as error:  # go on with the context's number
        logger.warning("Airflow does not return run %r: %s: %s", run_id, type(error).__name__, error)
        return None
    return number if isinstance(number, int) else None


def names_the_failed_task() -> bool:
    """Return whether the task that the DAG's callback names has failed: before Airflow 3.2 it may be any task."""
    communication = sys.modules.get("airflow.sdk.execution_time.comms")
    return communication is None or hasattr(communication, "GetDagRun")


def _is_known(question: str) -> bool:
    """Return whether this process can ask a question: the dag-processor knows only some of them."""
    processor = sys.modules.get("airflow.dag_processing.processor")
    return processor is None or question in repr(processor.ToManager)
