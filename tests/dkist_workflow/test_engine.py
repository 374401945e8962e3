"""How a workflow finds the installed engine without importing it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dkist_workflow import EngineNotInstalledError, Workflow, WorkflowError
from dkist_workflow.engine import GROUP, installed_engine

ENGINE = """
class Plain:
    def load(self, workflow):
        return [node.name for node in workflow.nodes]

    def export(self, workflow, folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{workflow.dag_id}.txt"
        path.write_text(workflow.workflow_name)
        return path

engine = Plain()
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is all that the interpreter looks into for distributions from now on."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def install_engine(site: Path, name: str) -> None:
    """Install a distribution with an engine."""
    (site / f"{name}.py").write_text(ENGINE)
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {name}:engine\n")


def test_a_workflow_is_loaded_and_exported_by_the_installed_engine(site: Path, workflow: Workflow) -> None:
    """Any distribution can bring an engine; an export makes its folder."""
    install_engine(site, "plain_engine")
    assert workflow.load() == ["Parse", "CopyDarks", "CopyFlats", "Calibrate", "Assemble"]
    path = workflow.export(str(site / "new" / "dags"))
    assert path == site / "new" / "dags" / "vbi_l0_to_l1_1.0.0.txt"
    assert path.read_text() == "vbi_l0_to_l1"


@pytest.mark.usefixtures("site")
def test_missing_engine_is_an_error_that_says_what_to_install(workflow: Workflow) -> None:
    """Workflows can be defined without an engine, but not exported."""
    with pytest.raises(EngineNotInstalledError, match="install 'dkist-airflow-node' to export workflows"):
        workflow.load()


def test_two_engines_are_refused(site: Path) -> None:
    """Nobody could say which of the two a workflow is meant for."""
    install_engine(site, "first_engine")
    install_engine(site, "second_engine")
    expected = r"more than one workflow engine is installed \(first_engine:engine, second_engine:engine\); uninstall"
    with pytest.raises(WorkflowError, match=expected):
        installed_engine()
