"""What changed from one release to another."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from dkist_build_utils import archive, differences, export, find_release
from harness.packages import Package
from tests.dkist_build_utils.conftest import TASKS, Install, instrument

NEW_WORKFLOW = """
from dkist_workflow import Workflow
from {package}.tasks import Assemble, Calibrate, Publish

main = Workflow("{package}", "main", __package__)
main.add_node(task=Calibrate)
main.add_node(task=Assemble, upstreams=Calibrate, pip_extras=["quality"])
main.add_node(task=Publish, upstreams=Assemble)
"""
NEW_TASKS = f"""{TASKS.replace("retries = 2", "retries = 3")}
class Publish(TaskBase):
    timeout_seconds = 60
    def run(self) -> None: ...
"""


def test_every_change_is_listed(install: Install, offline: Path, tmp_path: Path) -> None:
    """Tasks, edges, queues, settings, workflows and locked packages are listed, each on its line."""
    package = instrument()
    package.write_wheel(offline)
    Package("some-tool", "1.0", {}).write_wheel(offline)
    name = install(package)
    old = export(f"{name}.workflows", tmp_path, version="1.0.0")
    modules = {**package.modules, "tasks": NEW_TASKS, "workflows.main": NEW_WORKFLOW.replace("{package}", name)}
    newer = Package(package.name, "1.1.0", modules, ["dkist-task", "some-tool"], package.extras)
    newer.write_wheel(offline)
    other = _exported_elsewhere(newer, tmp_path)
    changes = [str(change) for change in differences(find_release(old), find_release(archive(other)))]
    assert changes == [
        f"{name}_main: - task Parse",
        f"{name}_main: + task Publish",
        f"{name}_main: + edge Assemble -> Publish",
        f"{name}_main: - edge Parse -> Assemble",
        f"{name}_main: - edge Parse -> Calibrate",
        f"{name}_main: task Calibrate: queue: high_memory -> default",
        f"{name}_main: task Calibrate: retries: 2 -> 3",
        f"requirements.quality.txt: {package.name}: 1.0.0 -> 1.1.0",
        "requirements.quality.txt: + some-tool 1.0",
        f"requirements.txt: {package.name}: 1.0.0 -> 1.1.0",
        "requirements.txt: + some-tool 1.0",
    ]
    assert differences(find_release(old), find_release(old)) == ()


def _exported_elsewhere(package: Package, tmp_path: Path) -> Path:
    """Export in a process of its own, where the package has not been imported yet."""
    site = tmp_path / "elsewhere"
    with zipfile.ZipFile(package.write_wheel(tmp_path / "unpacked")) as wheel:
        wheel.extractall(site)
    arguments = ["export", f"{package.import_name}.workflows", "--version", package.version, "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "dkist_build_utils", *arguments],
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())
