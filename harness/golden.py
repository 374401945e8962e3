"""The golden archive: exports of every form that a DAG file ever had, which must run for as long as workers do.

``python -m harness.golden add NAME`` exports the trial package as version NAME with this checkout's code, and packs it
into ``tests/golden/<NAME>.tar.gz``. Do it for every release, and where the runner or the body of the DAG file changes
between two. What is there is never written again.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import zipfile
from pathlib import Path

from dkist_build_utils import archive, export
from harness.packages import ROOT, Package

GOLDEN = ROOT / "tests" / "golden"
"""One archive for each form."""

_TASKS = """
from dkist_task import TaskBase


class Succeed(TaskBase):
    def run(self) -> None:
        print("golden run", self.recipe_run_id, self.workflow_name, self.workflow_version)


class Fail(TaskBase):
    def run(self) -> None:
        raise ValueError("observe_0005.fits holds no image")
"""

_WORKFLOWS = """
from dkist_processing_golden.tasks import Fail, Succeed
from dkist_workflow import Workflow

good = Workflow("golden", "good", "dkist_processing_golden")
good.add_node(Succeed)
bad = Workflow("golden", "bad", "dkist_processing_golden")
bad.add_node(Succeed)
bad.add_node(Fail, upstreams=Succeed)
"""


def golden_package(version: str) -> Package:
    """Return the trial package: a workflow ``golden_good`` that succeeds and ``golden_bad`` whose task `Fail` fails."""
    return Package(
        "dkist-processing-golden",
        version=version,
        modules={"tasks": _TASKS, "workflows.all": _WORKFLOWS},
        dependencies=["dkist-task"],
    )


def golden_archives() -> dict[str, Path]:
    """Return the archive of each form, by its name."""
    return {path.name.removesuffix(".tar.gz"): path for path in sorted(GOLDEN.glob("*.tar.gz"))}


def add(name: str) -> Path:
    """Export the trial package without locks: its tasks run in the newest dkist-task. Return the archive.

    The archive is compressed, because it is kept here and not deployed anywhere.

    Raises
    ------
    ValueError
        The form is there already.
    """
    path = GOLDEN / f"{name}.tar.gz"
    if path.exists():
        raise ValueError(f"'{path}' is there already, and what is golden never changes; choose another name")
    with tempfile.TemporaryDirectory(prefix="dkist-golden-") as site:
        with zipfile.ZipFile(golden_package(name).write_wheel(Path(site, "wheels"))) as wheel:
            wheel.extractall(site)
        sys.path.insert(0, site)
        folder = export("dkist_processing_golden.workflows", Path(site, "out"), version=name, python="3.11", lock=False)
        GOLDEN.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(gzip.decompress(archive(folder).read_bytes()), mtime=0))
    return path


def main() -> None:
    """Run the command line."""
    if len(sys.argv) != 3 or sys.argv[1] != "add":
        sys.exit("usage: python -m harness.golden add NAME, where NAME is a version such as 1.2.0")
    print(add(sys.argv[2]))


if __name__ == "__main__":
    main()
