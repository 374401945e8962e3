"""The plug-in that Airflow loads."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from types import SimpleNamespace

import pytest
from airflow.plugins_manager import AirflowPlugin

from dkist_airflow_node import messages
from dkist_airflow_node.plugin import FailureListener, FailurePlugin


def test_airflow_finds_it() -> None:
    """It is an entry point, so that an installed distribution is all that Airflow needs."""
    (point,) = [point for point in entry_points(group="airflow.plugins") if point.name == "dkist-airflow-node"]
    assert point.load() is FailurePlugin
    assert issubclass(FailurePlugin, AirflowPlugin)
    assert FailurePlugin.name == "dkist-airflow-node"


def test_its_import_brings_nothing_else() -> None:
    """Every process of Airflow imports it, each task's own included: no room of ours, no pika, no click."""
    program = (
        "import sys, airflow.plugins_manager, airflow.listeners\n"
        "before = set(sys.modules)\n"
        "import dkist_airflow_node.plugin\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    names = ["", ".__about__", ".errors", ".plugin"]
    assert done.stdout.splitlines()[-1] == repr([f"dkist_airflow_node{name}" for name in names])


def test_a_tasks_own_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the failure callback reports, and knows more. The database's objects are looked at."""
    heard: list[object] = []
    monkeypatch.setattr(messages, "hear_failed_task", lambda *arguments: heard.append(arguments))
    monkeypatch.setattr(messages, "hear_failed_run", lambda *arguments: heard.append(arguments))
    listener = FailureListener()
    listener.on_starting(SimpleNamespace())
    listener.on_task_instance_failed(SimpleNamespace(), ValueError())
    assert heard == []
    row = SimpleNamespace(_sa_instance_state=None)
    listener.on_starting(row)
    listener.on_task_instance_failed(row, "x")
    listener.on_dag_run_failed(row, "y")
    assert heard == [(row, "x"), (row, "y")]
