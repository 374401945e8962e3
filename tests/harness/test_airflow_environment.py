"""Bare Airflow environments."""

from __future__ import annotations

import subprocess

from harness.airflow_environment import airflow_environment

LIST = "from importlib.metadata import distributions as d; print(*sorted(x.metadata['Name'] for x in d()))"


def test_holds_airflow_and_uv_and_nothing_of_ours() -> None:
    """The environment of a worker host has Airflow and uv; none of the project's distributions."""
    interpreter = airflow_environment()
    names = subprocess.run([interpreter, "-c", LIST], check=True, capture_output=True, text=True).stdout.split()
    assert {"apache-airflow", "uv"} <= set(names)
    assert not [name for name in names if name.startswith("dkist")]
    assert airflow_environment() == interpreter
