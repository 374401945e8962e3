"""The site on which the operator's handbook was written, and on which its test carries it out.

``hatch run python -m harness.handbook`` starts it and names the file to read into a shell. There, type the commands of
``docs/handbook``. Ctrl-C ends it.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.celery_site import CelerySite, celery_site, released, run
from harness.demo import new_run
from harness.packages import OWN_PROJECTS, ROOT, Package, build_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

QUEUES = {"worker-1": "default", "worker-2": "default"}
VERSIONS = ("1.0.0", "1.0.1")

_TASKS = """
    import time

    from dkist_task import TaskBase
    from dkist_task.recipe_run import RecipeRunFolder


    class FrameError(Exception):
        pass


    class ProductTask(TaskBase):
        product = ""

        @property
        def folder(self):
            return RecipeRunFolder.from_environment(self.recipe_run_id)

        def rollback(self):
            self.folder.discard(self.product)
            print(f"removed {self.product} of recipe run {self.recipe_run_id}")


    class Parse(ProductTask):
        "Copy the frames."

        product = "frames"

        def run(self):
            with self.folder.replacing(self.product) as product:
                for frame in self.folder.files("raw"):
                    (product / frame.name).write_bytes(frame.read_bytes())


    class Calibrate(ProductTask):
        "Calibrate each frame."

        product = "calibrated"
        retries = 1
        retry_delay_seconds = 2

        def run(self):
            with self.folder.replacing(self.product) as product:
                for frame in self.folder.files("frames"):
                    text = frame.read_text()
                    if text == "slow" and self.try_number == 1:
                        time.sleep(600)
                    if text:
                        (product / frame.name).write_text(f"calibrated by {self.workflow_version}")
                    elif self.workflow_version == "1.0.0":
                        raise FrameError(f"{frame.name} holds no image")


    class Report(ProductTask):
        "Count the frames."

        product = "report"

        def run(self):
            with self.folder.replacing(self.product) as product:
                count = len(self.folder.files("calibrated"))
                (product / "report.txt").write_text(f"{count} frames, {self.workflow_version}")
"""

_WORKFLOW = """
    from dkist_processing_vbi import tasks
    from dkist_workflow import Workflow

    l0_to_l1 = Workflow(process_category="vbi", process_name="l0_to_l1", workflow_package="dkist_processing_vbi")
    l0_to_l1.add_node(tasks.Parse)
    l0_to_l1.add_node(tasks.Calibrate, upstreams=tasks.Parse)
    l0_to_l1.add_node(tasks.Report, upstreams=tasks.Calibrate)
"""


@dataclass(frozen=True)
class HandbookSite:
    """The running site and the operator's terminal on it."""

    folder: Path
    """Everything of this site."""
    site: CelerySite
    """Its parts."""

    @property
    def settings(self) -> Path:
        """The file to read into a shell: ``set -a; . FILE; set +a``."""
        return self.folder / "operator.env"

    def put_raw(self, recipe_run_id: int, *frames: str) -> Path:
        """Write the raw frames of a recipe run and return their folder. ``slow`` takes long, an empty one is faulty."""
        raw = self.folder / "data" / str(recipe_run_id) / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(frames, start=1):
            (raw / f"frame_{number:04}.txt").write_text(text)
        return raw

    def shell(self, commands: str, *, timeout: float = 300) -> str:
        """Run shell lines as the operator does, and return what they print; a line that fails ends them.

        Raises
        ------
        AssertionError
            A line failed. The message has the output.
        """
        text = f"set -a; . {shlex.quote(str(self.settings))}; set +a; set -euo pipefail\n{commands}"
        done = subprocess.run(
            ["bash", "-c", text], cwd=self.folder, env={}, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode:
            raise AssertionError(f"{commands}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr


@contextmanager
def handbook_site(folder: Path, stores: Path) -> Iterator[HandbookSite]:
    """Run the site for the duration of the context, with version 1.0.0 deployed and 1.0.1 in ``releases``."""
    wheels = folder / "wheels"
    archives = _release_both(folder, wheels)
    env = {
        "DKIST_DATA_FOLDER": str(folder / "data"),
        "DKIST_MESSAGE_DEADLINE_SECONDS": "30",
        "DKIST_MESSAGE_SPOOL": str(folder / "spool"),
        "UV_FIND_LINKS": str(wheels),
    }
    with celery_site(folder, wheels, QUEUES, stores=stores, env=env) as site:
        site.deploy(archives[0])
        made = HandbookSite(folder, site)
        variables = {
            **site.airflow.env,
            "PATH": f"{folder / 'airflow-host' / 'bin'}:{site.airflow.env['PATH']}",
            "DAGS": str(site.airflow.dags),
            "DKIST_AIRFLOW_URL": site.airflow.url,
            "DKIST_ENVIRONMENT_STORE": str(site.workers[0].store),
        }
        made.settings.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()))
        site.airflow.wait_for_dag("vbi_l0_to_l1_1.0.0")
        yield made


def _release_both(folder: Path, wheels: Path) -> list[Path]:
    build_wheels(wheels, OWN_PROJECTS)
    archives = []
    for version in VERSIONS:
        modules = {"tasks": _TASKS, "workflows.l0_to_l1": _WORKFLOW}
        package = Package("dkist-processing-vbi", version, modules=modules, dependencies=["dkist-task"])
        unpacked = folder / f"unpacked-{version}"
        wheel = package.write_wheel(wheels)
        run(["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(unpacked), str(wheel)])
        releases = folder / "releases"
        archives.append(released("dkist_processing_vbi.workflows", version, wheels, releases, python_path=unpacked))
    return archives


def main() -> int:
    """Start the site and wait for Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with new_run(ROOT / ".demo" / "handbook") as made, handbook_site(made.folder, ROOT / ".demo" / "stores") as site:
        print(f"Airflow: {site.site.airflow.url}\nset -a; . {site.settings}; set +a", flush=True)
        signal.sigwait({signal.SIGINT})
    return 0


if __name__ == "__main__":
    sys.exit(main())
