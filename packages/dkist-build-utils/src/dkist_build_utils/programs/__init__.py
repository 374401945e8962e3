"""Other programs that are run: uv, a Python interpreter of its own, the Airflow on this machine."""

from __future__ import annotations

from dkist_build_utils.programs.program import run_program
from dkist_build_utils.programs.scheduler import active_runs, create_missing_pools, is_airflow_installed, load_errors
from dkist_build_utils.programs.uv_program import (
    UvError,
    clean_environment,
    find_links_options,
    has_interpreter,
    locked_environment,
    run_uv,
)

__all__ = [
    "UvError",
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
