"""``python -m dkist_task``: run or roll back one task.

This is the protocol between an exported DAG, of any version, and the environment of a task::

    python -m dkist_task run MODULE:CLASS [--recipe-run-id N] [--workflow-name NAME] [--workflow-version VERSION]
    python -m dkist_task rollback MODULE:CLASS [...]

Environment: ``DKIST_TASK``, ``DKIST_RECIPE_RUN_ID``, ``DKIST_WORKFLOW_NAME`` and ``DKIST_WORKFLOW_VERSION`` stand in
for arguments that are not given; ``DKIST_TRY_NUMBER`` is the engine's attempt; ``TRACEPARENT`` and ``TRACESTATE`` join
a trace; ``OTEL_*``, ``DKIST_SPAN_FOLDER`` and ``DKIST_LOG_FORMAT`` direct telemetry and the log.

Exit status: 0 done; 1 the task raised or exited with any other status; 2 the request was unusable, said in one line.
After SIGTERM the task unwinds and the process dies of SIGTERM.
"""

from __future__ import annotations

import sys

from dkist_task.launcher import main

if __name__ == "__main__":
    sys.exit(main())
