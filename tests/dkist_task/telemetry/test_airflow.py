"""The trace of a run in a real Airflow, whose own tracing is on or off."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dkist_build_utils import export
from harness.airflow import PrivateAirflow
from harness.packages import Package
from tests.dkist_task.conftest import Collector, values

ROOT = Path(__file__).parents[3]

TASKS = """
    from dkist_task import TaskBase


    class First(TaskBase):
        def run(self):
            with self.telemetry_span("work"):
                pass


    class Second(First):
        pass
"""

WORKFLOWS = """
    from dkist_processing_traced.tasks import First, Second
    from dkist_workflow import Workflow

    workflow = Workflow(process_category="traced", process_name="run", workflow_package=__package__)
    workflow.add_node(task=First)
    workflow.add_node(task=Second, upstreams=First)
"""


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the release folder of a workflow of two tasks, whose wheels lie beside it."""
    wheels = tmp_path / "wheels"
    package = Package(
        "dkist-processing-traced",
        modules={"tasks": TASKS, "workflows": WORKFLOWS},
        dependencies=["dkist-task"],
    )
    wheel = package.write_wheel(wheels)
    environment = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "UV_CONSTRAINT"}}
    site = tmp_path / "site"
    project = ROOT / "packages" / "dkist-task"
    commands: list[list[str | Path]] = [
        ["uv", "build", "--quiet", "--wheel", "--out-dir", wheels, project],
        ["uv", "pip", "install", "--quiet", "--no-deps", "--target", site, "--python", sys.executable, wheel],
    ]
    for command in commands:
        subprocess.run(command, env=environment, check=True)
    monkeypatch.syspath_prepend(site)
    return export("dkist_processing_traced", tmp_path / "releases", version="1.0.0", find_links=[wheels])


def parents_of_tasks(collector: Collector) -> set[bytes]:
    """Return the ids of the spans above those of both tasks."""
    return {collector.span(name).parent_span_id for name in ("First", "Second")}


@pytest.mark.parametrize("otel_on", ["True", "False"])
def test_a_run_in_airflow_is_one_trace(
    release: Path, tmp_path: Path, collector: Collector, wait_for: Callable[[Callable[[], bool]], None], otel_on: str
) -> None:
    """Where Airflow traces, tasks hang under its spans; where it does not, nothing is dropped."""
    with PrivateAirflow(
        tmp_path / "airflow",
        env={
            "AIRFLOW__TRACES__OTEL_ON": otel_on,
            "DKIST_ENVIRONMENT_STORE": str(tmp_path / "store"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_TRACES_EXPORTER": "otlp_proto_http",  # what Airflow knows as "otlp" is gRPC
            "OTEL_SERVICE_NAME": "airflow",
            "UV_FIND_LINKS": str(tmp_path / "wheels"),
        },
    ) as airflow:
        release.rename(airflow.dags / release.name)
        airflow.wait_for_dag("traced_run_1.0.0")
        run_id = airflow.trigger("traced_run_1.0.0", recipe_run_id=5)
        assert airflow.wait_for_run("traced_run_1.0.0", run_id) == "success", airflow.logs("traced_run_1.0.0", run_id)
        if (
            otel_on == "True"
        ):  # Airflow's own processes send what they have when a task has ended; the stop would cut it off
            wait_for(lambda: parents_of_tasks(collector) <= {span.span_id for span in collector.spans()})
    spans = {span.span_id: span for span in collector.spans()}
    roots = [collector.span(name) for name in ("First", "Second")]
    assert len({root.trace_id for root in roots}) == 1
    assert sum(span.name == "work" for span in spans.values()) == 2
    assert values(roots[0].attributes)["cicd.pipeline.run.id"] == "5"
    for root in roots:
        above = spans.get(root.parent_span_id)
        assert (above is not None) == (otel_on == "True"), [span.name for span in spans.values()]
        assert above is None or "task_run" in above.name
