"""The error of a failed attempt, from its log: Airflow's REST API gives it nowhere else."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from dkist_airflow_node.errors import SiteError
from dkist_airflow_node.site.run import task_path

if TYPE_CHECKING:
    from dkist_airflow_node.site.api import AirflowApi
    from dkist_airflow_node.site.run import Attempt

logger = logging.getLogger(__name__)

MARK = b'"error_detail"'


def task_error(api: AirflowApi, attempt: Attempt) -> str | None:
    """Return type and text of the last error in the log of an attempt.

    Parameters
    ----------
    api : AirflowApi
        The connection to Airflow.
    attempt : Attempt
        One that has failed.

    Returns
    -------
    str or None
        None where the log has no error, is not there any more or may not be read.
    """
    if attempt.try_number < 1:
        return None
    query = f"?full_content=true&map_index={attempt.map_index}"
    found = None
    try:
        for line in api.lines(f"{task_path(attempt)}/logs/{attempt.try_number}{query}"):
            if MARK in line:
                found = _error_in(line) or found
    except SiteError as error:
        logger.info("The log of task %r of run %r is not read: %s", attempt.task_id, attempt.run_id, error)
    return found


def _error_in(line: bytes) -> str | None:
    try:
        event: Any = json.loads(line)
        error = event["error_detail"][0]
        name, text = str(error["exc_type"]), str(error["exc_value"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return f"{name}: {text}" if text else name
