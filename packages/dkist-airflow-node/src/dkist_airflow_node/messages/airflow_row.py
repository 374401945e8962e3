"""What Airflow's own database objects say of a failure, in its scheduler and its API server.

The scheduler's loop waits while this looks. It has loaded what is needed, so only that is read: `vars` of an object
never asks the database, where reading an attribute might. The API server has not, when a run is marked by hand, and is
asked there, inside its own transaction: nobody else can see the new states yet. Nothing is changed and nothing flushed.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from dkist_airflow_node.messages.exported_dag import ExportedWorkflow, workflow_of
from dkist_airflow_node.messages.failed_task import FailedTask, stored_task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COLUMNS = ("task_id", "map_index", "state", "try_number", "max_tries", "start_date", "end_date")
"""What is read of a task instance."""

MARKED = "marked as failed by hand"
"""How a person reads what Airflow says of it: ``TaskInstance's state was manually set to `failed`.``"""


class Failures(NamedTuple):
    """The tasks of one run that have failed."""

    workflow: ExportedWorkflow
    """The workflow of the run."""

    tasks: tuple[FailedTask, ...]
    """The tasks."""


def is_row(thing: Any) -> bool:
    """Return whether this is an object of Airflow's database: the task's own process has others."""
    return hasattr(thing, "_sa_instance_state")


def failure_of_task(instance: Any, error: Any) -> Failures | None:
    """Return the failure of one task; None where it may run again, or its DAG is not ours.

    Parameters
    ----------
    instance : Any
        Airflow's `TaskInstance`, with its new state.
    error : Any
        What Airflow says of the cause.
    """
    row = vars(instance)
    if _word(row.get("state")) != "failed":  # Airflow reports one that is up for retry, too
        return None
    run = _related(instance, "dag_run")
    if run is None:
        return None
    dag = vars(run).get("dag") or getattr(row.get("task"), "dag", None)
    workflow = _workflow(run, dag)
    return None if workflow is None else Failures(workflow, (_task(run, row, dag, _reason(error)),))


def failures_of_run(run: Any, message: Any) -> Failures | None:
    """Return every failed task of a run that has failed; None where its DAG is not ours.

    Parameters
    ----------
    run : Any
        Airflow's `DagRun`, with its new state.
    message : Any
        What Airflow says of the cause; on some versions nothing.
    """
    dag = vars(run).get("dag")
    workflow = _workflow(run, dag)
    if workflow is None:
        return None
    rows = _loaded_tasks(run) or _stored_tasks(run)
    failed = [row for row in rows if _word(row.get("state")) == "failed"]
    if not failed:  # of a run that has timed out Airflow records the tasks that were running as skipped
        failed = [row for row in rows if row.get("start_date") and not row.get("end_date")]
    # Airflow says nothing of a mark before 3.3, and nothing of a timeout before 3.2. Only the scheduler loads the DAG.
    reason = _reason(message) or (MARKED if dag is None else "timed_out")
    return Failures(workflow, tuple(_task(run, row, dag, reason) for row in failed or [{}]))


def _workflow(run: Any, dag: Any) -> ExportedWorkflow | None:
    """Return the workflow of a run; ask the database about the DAG only where the run may be ours."""
    columns = vars(run)
    conf = columns.get("conf")
    if not isinstance(conf, dict) or "recipe_run_id" not in conf:
        return None
    if dag is not None:
        owner = next((task.owner for task in dag.task_dict.values()), None)
        return workflow_of(dag_id=columns.get("dag_id"), owner=owner, tags=dag.tags, conf=conf)
    model = _related(run, "dag_model")
    if model is None:
        return None
    tags = [tag.name for tag in _related(model, "tags") or ()]
    return workflow_of(dag_id=columns.get("dag_id"), owner=model.owners, tags=tags, conf=conf)


def _task(run: Any, row: Mapping[str, Any], dag: Any, reason: str) -> FailedTask:
    task = getattr(dag, "task_dict", {}).get(row.get("task_id"))
    return stored_task(vars(run), row, reason=reason, base_url=_base_url(), retries=getattr(task, "retries", None))


def _related(row: Any, name: str) -> Any:
    """Return an object that another one refers to, from the database if it is not loaded."""
    columns, session = vars(row), _session(row)
    if name in columns or session is None:
        return columns.get(name)
    with session.no_autoflush:  # an error of a flush would be Airflow's to handle
        return getattr(row, name)


def _loaded_tasks(run: Any) -> list[Mapping[str, Any]]:
    """Return the tasks of a run that its session holds: all of them in the scheduler, which has just looked at each."""
    session = _session(run)
    if session is None:
        return []
    run_id, dag_id = (vars(run).get(name) for name in ("run_id", "dag_id"))
    found = (state.dict for state in session.identity_map.all_states() if state.class_.__name__ == "TaskInstance")
    return [row for row in found if row.get("run_id") == run_id and row.get("dag_id") == dag_id and row.get("task_id")]


def _stored_tasks(run: Any) -> Iterable[Mapping[str, Any]]:
    """Return the failed tasks of a run from the database, as the transaction of Airflow's request sees them."""
    models, session = sys.modules.get("airflow.models.taskinstance"), _session(run)
    if models is None or session is None:
        return []
    model = models.TaskInstance
    sqlalchemy: Any = sys.modules["sqlalchemy"]
    query = sqlalchemy.select(*(getattr(model, name) for name in COLUMNS)).where(
        model.dag_id == vars(run).get("dag_id"), model.run_id == vars(run).get("run_id"), model.state == "failed"
    )
    with session.no_autoflush:
        return [dict(row) for row in session.execute(query).mappings()]


def _session(row: Any) -> Any:
    """Return the session that an object belongs to, None for an object without one."""
    return vars(row)["_sa_instance_state"].session


def _reason(said: Any) -> str:
    text = str(said or "")
    return MARKED if "manually set" in text else text


def _word(state: Any) -> str:
    return str(getattr(state, "value", state))


@cache
def _base_url() -> str | None:
    """Return the address of Airflow's pages."""
    configuration = sys.modules.get("airflow.configuration")
    return None if configuration is None else configuration.conf.get("api", "base_url", fallback=None)
