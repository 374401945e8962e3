"""The parameters of a workflow in a real Airflow, from its API to a task started by the real launcher."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dkist_build_utils import export
from harness.airflow import PrivateAirflow
from harness.packages import ROOT, Package, build_wheels
from harness.rest import AirflowRefusalError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.service, pytest.mark.timeout(600)]

TASKS = """
    import os

    from dkist_task import TaskBase


    class Show(TaskBase):
        def run(self):
            print("NAME", os.environ["DKIST_TASK_NAME"])
            print("VALUES", sorted(self.parameters.items()))
"""

WORKFLOWS = """
    from dkist_processing_shown.tasks import Show
    from dkist_workflow import Parameter, Workflow

    workflow = Workflow(
        process_category="shown",
        process_name="run",
        workflow_package=__package__,
        parameters=[
            Parameter("bins", int, 4, minimum=1, maximum=8, description="Pixels that become one."),
            Parameter("threshold", float, 0.5, minimum=0),
            Parameter("is_quick", bool, False),
            Parameter("filter_name", str, "red", choices=["red", "blue"]),
            Parameter("note", str, ""),
        ],
    )
    workflow.add_node(task=Show, name="ShowFirst")
    workflow.add_node(task=Show, name="ShowSecond", upstreams="ShowFirst")
"""

DAG_ID = "shown_run_1.0.0"


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the release folder of a workflow with a parameter of each type, whose wheels lie beside it."""
    wheels = tmp_path / "wheels"
    modules = {"tasks": TASKS, "workflows": WORKFLOWS}
    wheel = Package("dkist-processing-shown", modules=modules, dependencies=["dkist-task"]).write_wheel(wheels)
    build_wheels(wheels, [ROOT / "packages" / "dkist-task"])
    site = tmp_path / "site"
    command: list[str | Path] = [
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        site,
        "--python",
        sys.executable,
        wheel,
    ]
    subprocess.run(command, check=True)
    monkeypatch.syspath_prepend(site)
    return export("dkist_processing_shown", tmp_path / "releases", version="1.0.0", find_links=[wheels])


def test_airflow_checks_parameters_and_tasks_get_their_types(release: Path, tmp_path: Path) -> None:
    """The API refuses each bad value; tasks see defaults, or what was given, as the declared types."""
    settings = {"DKIST_ENVIRONMENT_STORE": str(tmp_path / "store"), "UV_FIND_LINKS": str(tmp_path / "wheels")}
    with PrivateAirflow(tmp_path / "airflow", env=settings) as airflow:
        release.rename(airflow.dags / release.name)
        airflow.wait_for_dag(DAG_ID)
        for bad in (
            {"bins": 0},
            {"bins": 9},
            {"bins": "4"},
            {"bins": 4.5},
            {"bins": None},
            {"threshold": -0.1},
            {"threshold": "much"},
            {"is_quick": 1},
            {"filter_name": "green"},
            {"note": 7},
        ):
            with pytest.raises(AirflowRefusalError) as refused:
                airflow.trigger(DAG_ID, recipe_run_id=7, conf=bad)
            assert refused.value.status == 400, bad

        form = airflow.request("GET", f"/api/v2/dags/{DAG_ID}/details")["params"]
        assert list(form) == ["recipe_run_id", "bins", "threshold", "is_quick", "filter_name", "note"]
        assert form["bins"]["description"] == "Pixels that become one."
        bins = form["bins"]["schema"]
        assert (bins["type"], bins["minimum"], bins["maximum"], bins["title"]) == ("integer", 1, 8, "Bins")
        assert form["filter_name"]["schema"]["enum"] == ["red", "blue"]
        assert form["filter_name"]["schema"]["title"] == "Filter name"

        default = airflow.trigger(DAG_ID, recipe_run_id=7)
        assert airflow.wait_for_run(DAG_ID, default) == "success", airflow.logs(DAG_ID, default)
        chosen = {"bins": 2.0, "threshold": 1, "is_quick": True, "filter_name": "blue", "note": None}
        given = airflow.trigger(DAG_ID, recipe_run_id=7, conf=chosen)
        assert airflow.wait_for_run(DAG_ID, given) == "success", airflow.logs(DAG_ID, given)
        for task in ("ShowFirst", "ShowSecond"):
            airflow.wait_for_log(DAG_ID, default, task, f"NAME {task}")
            values = {"bins": 4, "filter_name": "red", "is_quick": False, "note": "", "threshold": 0.5}
            airflow.wait_for_log(DAG_ID, default, task, f"VALUES {list(values.items())}")
            values = {"bins": 2, "filter_name": "blue", "is_quick": True, "note": "", "threshold": 1.0}
            airflow.wait_for_log(DAG_ID, given, task, f"VALUES {list(values.items())}")
