"""Other programs that this distribution runs: uv, a Python interpreter, the Airflow on this machine."""

from __future__ import annotations

from dkist_build_utils.programs.airflow import active_runs, create_missing_pools, is_airflow_installed, load_errors
from dkist_build_utils.programs.interpreter import run_program
from dkist_build_utils.programs.uv import (
    clean_environment,
    find_links_options,
    has_interpreter,
    locked_environment,
    run_uv,
)

__all__ = [
    "active_runs",
    "clean_environment",
    "create_missing_pools",
    "find_links_options",
    "has_interpreter",
    "is_airflow_installed",
    "load_errors",
    "locked_environment",
    "run_program",
    "run_uv",
]
