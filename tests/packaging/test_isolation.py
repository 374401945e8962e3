"""Two versions of one instrument package, whose requirements conflict, run interleaved in one Airflow."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from harness.airflow import PrivateAirflow
from harness.celery_site import released
from harness.packages import ROOT, Package, build_wheels

if TYPE_CHECKING:
    from pathlib import Path

TASKS = """
import json, os, sys
from importlib.metadata import distributions, version
from importlib.util import find_spec
from pathlib import Path

from dkist_task import TaskBase


class First(TaskBase):
    def run(self) -> None:
        import iniconfig

        facts = {
            "iniconfig": version("iniconfig"),
            "iniconfig_file": iniconfig.__file__,
            "prefix": sys.prefix,
            "version": self.workflow_version,
            "distributions": sorted(dist.metadata["Name"].lower() for dist in distributions()),
            "has_airflow": find_spec("airflow") is not None,
            "secrets": [name for name in os.environ if name.startswith(("AIRFLOW__", "UV_"))],
            "password": os.environ.get("ISB_PASSWORD"),
        }
        name = f"{self.workflow_version}-{self.recipe_run_id}-{self.task_name}.json"
        Path(os.environ["ISOLATION_FOLDER"], name).write_text(json.dumps(facts))


class Second(First):
    pass
"""

WORKFLOWS = """
from dkist_processing_isolated.tasks import First, Second
from dkist_workflow import Workflow

workflow = Workflow(process_category="isolated", process_name="report", workflow_package=__package__)
workflow.add_node(task=First)
workflow.add_node(task=Second, upstreams=First)
"""


def make_release(folder: Path, version: str, wheels: Path) -> Path:
    """Build one version of the package, and export its workflow; return the release folder."""
    package = Package(
        "dkist-processing-isolated",
        version,
        modules={"tasks": TASKS, "workflows": WORKFLOWS},
        dependencies=["dkist-task", f"iniconfig=={version[0]}.*"],
    )
    site = folder / f"site-{version}"
    with zipfile.ZipFile(package.write_wheel(wheels)) as wheel:
        wheel.extractall(site)
    released(package.import_name, version, wheels, folder / "releases", python_path=site)
    return folder / "releases" / f"{package.name}_{version}"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Run both versions twice, interleaved; return what each task saw, by version, recipe run and task."""
    folder = tmp_path_factory.mktemp("isolation")
    wheels, seen = folder / "wheels", folder / "seen"
    seen.mkdir()
    build_wheels(wheels, [ROOT / "packages" / "dkist-task"])
    releases = [make_release(folder, version, wheels) for version in ("1.0.0", "2.0.0")]
    with PrivateAirflow(
        folder / "airflow",
        env={
            "DKIST_ENVIRONMENT_STORE": str(folder / "store"),
            "ISOLATION_FOLDER": str(seen),
            "ISB_PASSWORD": "secret",
            "UV_FIND_LINKS": str(wheels),
        },
    ) as airflow:
        for release in releases:
            release.rename(airflow.dags / release.name)
        dags = [f"isolated_report_{version}" for version in ("1.0.0", "2.0.0")]
        for dag in dags:
            airflow.wait_for_dag(dag)
        runs = [(dag, airflow.trigger(dag, recipe_run_id=number)) for number in (1, 2) for dag in dags]
        for dag, run in runs:
            assert airflow.wait_for_run(dag, run) == "success", airflow.logs(dag, run)
    return {path.stem: json.loads(path.read_text()) for path in seen.iterdir()}


def test_each_task_imports_the_library_of_its_own_version(reports: dict[str, dict[str, Any]]) -> None:
    """Eight tasks of two versions, one Airflow: each saw its own version and the library which that requires."""
    expected = {
        f"{version}-{number}-{task}"
        for version in ("1.0.0", "2.0.0")
        for number in (1, 2)
        for task in ("First", "Second")
    }
    assert set(reports) == expected
    for name, report in reports.items():
        assert report["version"] == name.partition("-")[0]
        assert report["iniconfig"].partition(".")[0] == report["version"][0]
        assert report["iniconfig_file"].startswith(report["prefix"])
    assert len({report["prefix"] for report in reports.values()}) == 2


def test_environment_of_a_task_holds_nothing_of_airflow_and_ours_but_the_task(
    reports: dict[str, dict[str, Any]],
) -> None:
    """The environment has the instrument package, dkist-task, and what they require; no secret reaches the task."""
    for report in reports.values():
        dkist = [name for name in report["distributions"] if name.startswith("dkist")]
        assert dkist == ["dkist-processing-isolated", "dkist-task"]
        assert not report["has_airflow"]
        assert not [name for name in report["distributions"] if "airflow" in name]
        assert report["secrets"] == []
        assert report["password"] == "secret"  # what finds the services of a task passes
