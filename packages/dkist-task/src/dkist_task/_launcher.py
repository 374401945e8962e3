"""Runs one task in this process and tells the engine by the exit status how it ended."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from dkist_task._errors import RequestError
from dkist_task._log import configure_log, opening_block
from dkist_task._outcome import outcome_of
from dkist_task._request import Request, request_from, task_class_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_task._outcome import Outcome

UNUSABLE_REQUEST = 2
"""Exit status where nothing was run."""

logger = logging.getLogger("dkist_task")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what `arguments` and the environment ask for and return the exit status."""
    try:
        request = request_from(sys.argv[1:] if arguments is None else arguments, os.environ)
    except RequestError as refusal:
        return _refuse(refusal)
    configure_log(os.environ)
    sys.stdout.write(opening_block(request))
    sys.stdout.flush()
    error: BaseException | None = None
    try:
        _run(request)
    except RequestError as refusal:
        return _refuse(refusal)
    except BaseException as raised:  # noqa: BLE001 whatever ends the task becomes a status
        error = raised
    outcome = outcome_of(error)
    _log_outcome(outcome, error)
    return outcome.exit_status


def _run(request: Request) -> None:
    """Run the task as its author would in a script."""
    identity = request.identity
    task = task_class_from(request)(
        recipe_run_id=identity.recipe_run_id,
        workflow_name=identity.workflow_name,
        workflow_version=identity.workflow_version,
    )
    with task:
        if request.action == "run":
            task()
        else:
            task.rollback()


def _log_outcome(outcome: Outcome, error: BaseException | None) -> None:
    """Say how the task ended; the traceback appears here and nowhere else."""
    if outcome.is_success:
        logger.info("done")
    elif isinstance(error, SystemExit):
        logger.error("failed: exited with %r", error.code)
    else:
        logger.error("failed: %s", outcome.error_type, exc_info=error)


def _refuse(error: RequestError) -> int:
    """Say in one line why nothing was run."""
    sys.stderr.write(f"dkist_task: {' '.join(str(error).split())}\n")
    return UNUSABLE_REQUEST
