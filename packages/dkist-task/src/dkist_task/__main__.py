"""Run or roll back one task: ``python -m dkist_task``.

This is the protocol between an exported DAG, of any version, and the environment of a task::

    python -m dkist_task run MODULE:CLASS [--recipe-run-id N] [--workflow-name NAME] [--workflow-version VERSION]
    python -m dkist_task rollback MODULE:CLASS [...]

Environment
    ``DKIST_TASK``, ``DKIST_RECIPE_RUN_ID``, ``DKIST_WORKFLOW_NAME`` and ``DKIST_WORKFLOW_VERSION`` replace arguments
    that are not given. ``DKIST_TASK_NAME`` is the name of the task ``DKIST_TASK`` in its workflow; unset, that is the
    class's name. ``DKIST_TRY_NUMBER`` is the engine's attempt. ``DKIST_PARAMETERS`` is a JSON object: the
    parameters of the run. ``TRACEPARENT`` and ``TRACESTATE`` join a trace. ``OTEL_*`` and ``DKIST_SPAN_FOLDER`` direct
    telemetry. ``DKIST_LOG_LEVEL`` is the least level that is logged; ``DEBUG`` shows the launcher's own frames, too.
    ``DKIST_LOG_FORMAT`` is ``json`` (a JSON object a line) or ``records``.

Log
    ``records`` writes each record of `logging` as the byte 0x1e and one JSON object with ``level``, ``logger``,
    ``message`` and ``time``, in a span also ``trace_id`` and ``span_id``, at most 60,000 bytes a line. The opening
    block and what a task prints stay plain lines. The launcher's own last record and `faulthandler` write to a
    duplicate of standard error, which nothing that a task does to ``sys.stderr`` or to `logging` reaches.

Stop
    At SIGTERM the task unwinds and the process dies of SIGTERM. ``DKIST_STOP_FILE``, if the file exists then, holds
    ``{"stop": "timeout" or "cancellation", "text": "..."}``: which result is reported, and why.

Outcome
    ``DKIST_OUTCOME_FILE`` is written as the last act, whole or not at all: a JSON object with ``result`` (success,
    failure, error, timeout, cancellation, skip), ``error_type``, ``error``, ``traceback``, ``reason``,
    ``peak_memory_bytes``, ``cpu_seconds`` and ``action``. ``error`` means an unusable request.

Record
    ``DKIST_RECORD_FOLDER`` gets a file of JSON lines for each attempt: what ran, what the task declared, how it ended.
    The module `dkist_task.record` describes them. ``DKIST_RECORD_FILE`` names the file to children of the task.

Exit status
    0 success or skip; 1 the task raised, or exited with another status than 0, or exited with 0 before ``run`` was
    entered; 2 the request was unusable, reported in one line.
"""

from __future__ import annotations

import sys

from dkist_task.launcher import main

if __name__ == "__main__":
    sys.exit(main())
