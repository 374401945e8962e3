"""Other programs that this distribution runs: uv, pip, git, ssh-keygen, a Python interpreter, the local Airflow."""

from __future__ import annotations

from dkist_build_utils.programs.airflow import (
    AirflowSite,
    active_runs,
    is_airflow_installed,
    load_errors,
    missing_pools,
)
from dkist_build_utils.programs.git import run_git
from dkist_build_utils.programs.interpreter import run_program
from dkist_build_utils.programs.pip import check_pip, download_wheels
from dkist_build_utils.programs.ssh_keygen import is_ssh_keygen_installed, own_words, run_ssh_keygen
from dkist_build_utils.programs.uv import (
    clean_environment,
    find_links_options,
    installed_pythons,
    interpreter_path,
    locked_environment,
    named_find_links,
    run_uv,
)

__all__ = [
    "AirflowSite",
    "active_runs",
    "check_pip",
    "clean_environment",
    "download_wheels",
    "find_links_options",
    "installed_pythons",
    "interpreter_path",
    "is_airflow_installed",
    "is_ssh_keygen_installed",
    "load_errors",
    "locked_environment",
    "missing_pools",
    "named_find_links",
    "own_words",
    "run_git",
    "run_program",
    "run_ssh_keygen",
    "run_uv",
]
