"""Fixtures of the tests of a reconciliation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dkist_airflow_node.messages import Spool
from dkist_airflow_node.site import api as api_module
from tests.dkist_airflow_node.site.airflow_server import AirflowServer, airflow_server, run_row, task_row


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowServer]:
    """Return an Airflow with one failed task of one run."""
    monkeypatch.setattr(api_module, "PAUSES", (0.0, 0.0))
    with airflow_server() as server:
        server.runs, server.tasks = [run_row()], [task_row(), task_row("Parse", state="success")]
        yield server


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Return a spool."""
    return Spool(tmp_path / "spool")
