"""Running a workflow on this machine without Airflow, its state kept in a run folder from which it goes on."""

from __future__ import annotations

from dkist_build_utils.local_run.log import tail_of
from dkist_build_utils.local_run.plan import LocalWorkflow, Selection, Step
from dkist_build_utils.local_run.progress import Progress, progress_for
from dkist_build_utils.local_run.released import is_release, workflow_of_release
from dkist_build_utils.local_run.run import LocalRun, default_folder, run_workflow
from dkist_build_utils.local_run.source import local_workflow, workflow_of_package
from dkist_build_utils.local_run.summary import RunSummary, TaskSummary

__all__ = [
    "LocalRun",
    "LocalWorkflow",
    "Progress",
    "RunSummary",
    "Selection",
    "Step",
    "TaskSummary",
    "default_folder",
    "is_release",
    "local_workflow",
    "progress_for",
    "run_workflow",
    "tail_of",
    "workflow_of_package",
    "workflow_of_release",
]
