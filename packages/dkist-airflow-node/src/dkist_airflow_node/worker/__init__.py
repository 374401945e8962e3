"""What happens on a worker: the runner of tasks, the environment store, what uses it, and building ahead of time."""

from __future__ import annotations

from dkist_airflow_node.worker.prebuild import build_environment, dag_file_literals, needed_environments
from dkist_airflow_node.worker.runner.variables import BUILD_VARIABLES
from dkist_airflow_node.worker.runner_process import START as RUNNER_START
from dkist_airflow_node.worker.runner_process import (
    RunnerResult,
    handover,
    run_runner,
    runner_modules,
    start_runner,
)
from dkist_airflow_node.worker.store import (
    Environment,
    environments,
    prunable_environments,
    remove_environment,
    store_folder,
)

__all__ = [
    "BUILD_VARIABLES",
    "RUNNER_START",
    "Environment",
    "RunnerResult",
    "build_environment",
    "dag_file_literals",
    "environments",
    "handover",
    "needed_environments",
    "prunable_environments",
    "remove_environment",
    "run_runner",
    "runner_modules",
    "start_runner",
    "store_folder",
]
