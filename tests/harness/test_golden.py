"""What was ever exported still runs, with today's packages beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dkist_build_utils import deploy, find_release
from harness.airflow import PrivateAirflow
from harness.golden import GOLDEN, add, golden_archives, golden_package
from harness.packages import OWN_PROJECTS, build_wheels

FORMS = golden_archives()


@pytest.mark.parametrize("form", FORMS)
def test_every_release_can_still_be_read(form: str) -> None:
    """Today's dkist-build takes each manifest and each file for what it is."""
    release = find_release(FORMS[form])
    assert release.manifest.release.version == form
    assert {task.entry_point for row in release.manifest.workflows for task in row.tasks} == {
        "dkist_processing_golden.tasks:Succeed",
        "dkist_processing_golden.tasks:Fail",
    }


def test_what_is_there_is_never_written_again() -> None:
    """A form that could change would prove nothing."""
    before = {path: path.stat().st_mtime_ns for path in GOLDEN.rglob("*")}
    with pytest.raises(ValueError, match="is there already, and what is golden never changes"):
        add(next(iter(FORMS)))
    assert {path: path.stat().st_mtime_ns for path in GOLDEN.rglob("*")} == before


@pytest.mark.service
@pytest.mark.timeout(1200)
def test_every_form_runs_and_reports_its_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each form, with the script that it carries, succeeds, fails where a task fails, and has the failure reported."""
    wheels, dags, spool = tmp_path / "wheels", tmp_path / "dags", tmp_path / "spool"
    build_wheels(wheels, OWN_PROJECTS[:1])
    dags.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    for form, archive in FORMS.items():
        golden_package(form).write_wheel(wheels)
        deploy(archive, dags, airflow=False)
    environ = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "UV_FIND_LINKS": str(wheels),
        "DKIST_ENVIRONMENT_STORE": str(tmp_path / "store"),
        "DKIST_MESSAGE_SPOOL": str(spool),
        # Nobody listens there: messages stay in the spool.
        "MESH_CONFIG": json.dumps({"interservice-bus": {"mesh_address": "127.0.0.1", "mesh_port": 1}}),
    }
    with PrivateAirflow(tmp_path / "airflow", dags=dags, env=environ) as airflow:
        runs = []
        for form in FORMS:
            for name, state in (("good", "success"), ("bad", "failed")):
                dag_id = f"golden_{name}_{form}"
                airflow.wait_for_dag(dag_id)
                runs.append((dag_id, airflow.trigger(dag_id, recipe_run_id=7), state))
        for dag_id, run_id, state in runs:
            assert airflow.wait_for_run(dag_id, run_id, timeout=300) == state, airflow.logs(dag_id, run_id)
            airflow.wait_for_log(dag_id, run_id, "Succeed", "golden run 7")
            if state == "failed":
                states = {name: task.state for name, task in airflow.tasks(dag_id, run_id).items()}
                assert states == {"Succeed": "success", "Fail": "failed"}
                airflow.wait_for_log(dag_id, run_id, "Fail", "observe_0005.fits holds no image")
    messages = [json.loads(path.read_text()) for path in spool.rglob("*.json")]
    reported = {(message["workflowName"], message["workflowVersion"], message["taskName"]) for message in messages}
    assert reported == {("golden_bad", form, "Fail") for form in FORMS}
