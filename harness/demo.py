"""Run the example instrument package through a real, private Airflow: ``hatch run demo``.

Everything that it makes is in ``.demo/`` of the clone: remove that to start afresh. Each run has a folder of its own.
All runs share wheels, release and environments, so the second run is quicker. Two runs may run at once. A run that is
interrupted or killed leaves no process behind.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils import BuildError, archive, deploy, export, read_run, write_crate
from dkist_build_utils.pictures.timeline import render_timeline
from harness.airflow import AirflowStartError, PrivateAirflow
from harness.cache import prune_environments
from harness.packages import OWN_PROJECTS, ROOT, build_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.rest import TaskState

EXAMPLE = ROOT / "examples" / "dkist-processing-example"
WORKFLOWS = "dkist_processing_example.workflows"
RUN_SECONDS = 300
KEPT_RUNS = 3
ENDED = {"success": "✓", "failed": "✗", "upstream_failed": "-", "skipped": "-", "up_for_retry": "↻"}


@dataclass(frozen=True)
class DemoRun:
    """The folder of one run of the demo."""

    folder: Path
    """The folder. Its file ``lock`` is held while the demo runs."""

    @property
    def data(self) -> Path:
        """Products of the workflow."""
        return self.folder / "data"

    @property
    def records(self) -> Path:
        """What each attempt ran, used and generated."""
        return self.folder / "records"

    @property
    def spans(self) -> Path:
        """The spans of the tasks."""
        return self.folder / "spans"

    @property
    def spool(self) -> Path:
        """Failure messages. They stay here because the demo has no broker."""
        return self.folder / "messages"


class DemoError(RuntimeError):
    """The demo cannot run on this machine."""


def main() -> int:
    """Run the demo and return 0 if every task succeeded."""
    options = _options()
    logging.basicConfig(format="  %(message)s", level=logging.WARNING)
    try:
        _check_machine()
        with new_run(ROOT / ".demo") as run:
            return show(run, options.recipe_run_id, corrupt_input=options.corrupt_input)
    except (DemoError, BuildError, AirflowStartError, TimeoutError) as error:
        print(f"\n{error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nInterrupted: everything is stopped.", file=sys.stderr)
    return 1


def show(run: DemoRun, recipe_run_id: int, *, corrupt_input: bool) -> int:
    """Deploy the example into an Airflow, run its workflow and print the result."""
    clock = Clock()
    shared = run.folder.parents[1]
    environment = {
        "DKIST_ENVIRONMENT_STORE": str(shared / "environments"),
        "DKIST_EXAMPLE_DATA": str(run.data),
        "DKIST_RECORD_FOLDER": str(run.records),
        "DKIST_SPAN_FOLDER": str(run.spans),
        "DKIST_MESSAGE_SPOOL": str(run.spool),
        # No broker: failure messages stay in the spool, and none reaches a broker that happens to run on this machine.
        "MESH_CONFIG": json.dumps({"interservice-bus": {"mesh_address": "127.0.0.1", "mesh_port": 9}}),
        "UV_FIND_LINKS": str(shared / "wheels"),
    }
    os.environ["UV_FIND_LINKS"] = environment["UV_FIND_LINKS"]
    airflow = PrivateAirflow(run.folder / "airflow", env=environment)
    try:
        clock.say("Starting a private Airflow (scheduler, dag-processor, API server)")
        airflow.start()
        with _alone(shared / "lock"):
            clock.say("Building the wheels of the four distributions and of the example")
            has_changed = renew_wheels(shared / "wheels")
            prune_environments(shared / "environments")
            clock.say("Locking the example's dependencies and exporting its workflow")
            release = export(
                WORKFLOWS,
                shared,
                version=_example_version(),
                find_links=[shared / "wheels"],
                upgrade_locks=has_changed,
            )
            packed = archive(release)
            deploy(packed, airflow.dags, airflow=False)
        manifest = json.loads((release / "manifest.json").read_text())
        (workflow,) = manifest["workflows"]
        dag_id = workflow["dag_id"]
        airflow.wait_until_healthy()
        airflow.create_pools(json.loads((release / "pools.json").read_text()))
        airflow.wait_for_dag(dag_id)
        clock.say(f"Triggering {dag_id} with recipe_run_id {recipe_run_id}; watch it on {airflow.url}")

        def show_change(task: TaskState) -> None:
            if task.state in {"running", *ENDED}:
                clock.say(f"  {ENDED.get(task.state, '…')} {task.name:<16} {task.state}")
            if corrupt_input and task.name == "SimulateFrames" and task.state == "success":
                clock.say(f"  Cutting {corrupt(run.data / str(recipe_run_id))} in half, as you asked")

        run_id = airflow.trigger(dag_id, recipe_run_id)
        state = airflow.wait_for_run(dag_id, run_id, on_change=show_change, timeout=RUN_SECONDS)
        clock.say(f"The run ended: {state}\n")
        tasks = airflow.tasks(dag_id, run_id)
        order = [task["name"] for task in workflow["tasks"]]
        logs = {
            name: airflow.task_log(dag_id, run_id, name, tasks[name].try_number)
            for name in order
            if tasks[name].try_number and tasks[name].start
        }
        print(table([(tasks[name], environment_of(logs.get(name, ""))) for name in order]))
    finally:
        airflow.stop()
    for name in order:
        if tasks[name].state == "failed":
            print(f"\nThe log of {name}, attempt {tasks[name].try_number}:\n\n{failure_of(logs[name])}")
    print(f"\n{products(run, recipe_run_id)}")
    return 0 if state == "success" else 1


class Clock:
    """Prints lines with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line."""
        print(f"{time.monotonic() - self._start:5.1f} s  {text}", flush=True)


def renew_wheels(folder: Path) -> bool:
    """Build every wheel, replace those in the folder if one differs, and return whether one did."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        built = build_wheels(Path(scratch), [*OWN_PROJECTS, EXAMPLE])
        if all(_has_bytes(folder / wheel.name, wheel.read_bytes()) for wheel in built):
            return False
        for wheel in built:
            wheel.replace(folder / wheel.name)
    return True


def corrupt(data: Path) -> Path:
    """Cut the last observation in half, like an interrupted transfer, and return its path."""
    frame = max((data / "level0").glob("observe_*"))
    os.truncate(frame, frame.stat().st_size // 2)
    return frame


def environment_of(log: str) -> str:
    """Return the name of the environment that a task's log names."""
    found = re.search(r"^environment (/.+)$", log, re.MULTILINE)
    return Path(found[1]).name if found else ""


def failure_of(log: str) -> str:
    """Return a task's traceback, or the end of its output if there is none."""
    lines = log.splitlines()
    start = next((number for number, line in enumerate(lines) if line.startswith("Traceback")), None)
    if start is None:
        return "\n".join(lines[-20:])
    end = next((number for number, line in enumerate(lines) if number > start and line == "::endgroup::"), None)
    return "\n".join(lines[start:end])


def table(rows: list[tuple[TaskState, str]]) -> str:
    """Return a table of tasks for a terminal."""
    cells = [("task", "state", "seconds", "environment")]
    for task, environment in rows:
        seconds = "" if task.seconds is None else f"{task.seconds:.1f}"
        cells.append((task.name, task.state, seconds, environment))
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def products(run: DemoRun, recipe_run_id: int) -> str:
    """Write the timeline and the record, and return the paths of everything that the run made."""
    data = run.data / str(recipe_run_id)
    found = [
        ("level-1 files", sorted((data / "level1").glob("*.fits"))),
        ("picture", sorted((data / "quicklook").glob("*.png"))),
        ("quality report", sorted((data / "quality").glob("*.html"))),
        ("failure messages", sorted(run.spool.glob("*.json"))),
    ]
    if run.spans.is_dir():
        timeline = run.folder / "timeline.html"
        timeline.write_text(render_timeline(run.spans))
        found.append(("timeline", [timeline]))
    if run.records.is_dir():
        record = write_crate(read_run(run.records, recipe_run_id), run.folder / "record", prov_json=True)
        found.append(("run record", [record]))
        found.append(("picture of it", [record / "record.svg"]))
    lines = [
        f"{what:<17} {files[0] if len(files) == 1 else f'{files[0].parent} ({len(files)} files)'}"
        for what, files in found
        if files
    ]
    return "\n".join([*lines, f"{'logs':<17} {run.folder / 'airflow' / 'logs'}"])


@contextmanager
def new_run(shared: Path) -> Iterator[DemoRun]:
    """Give the folder of a new run, and remove those of old runs that have ended."""
    runs = shared / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for folder in sorted(runs.iterdir(), reverse=True)[KEPT_RUNS - 1 :]:
        with (folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(folder)
    folder = Path(tempfile.mkdtemp(dir=runs, prefix=time.strftime("%Y-%m-%dT%H%M%S-")))
    with _alone(folder / "lock"):
        yield DemoRun(folder)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _has_bytes(file: Path, content: bytes) -> bool:
    return file.exists() and file.read_bytes() == content


def _example_version() -> str:
    about = EXAMPLE / "src" / "dkist_processing_example" / "__about__.py"
    found = re.search(r'__version__ = "(.+)"', about.read_text())
    if found is None:
        raise DemoError(f'{about} has no line __version__ = "..."')
    return found[1]


def _check_machine() -> None:
    if sys.platform != "linux":
        raise DemoError("The demo needs Linux: supervising tasks uses system calls that only Linux has.")
    if shutil.which("uv") is None:
        raise DemoError("The program 'uv' is not on PATH, and tasks need it. Start the demo with: hatch run demo")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hatch run demo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recipe-run-id", type=int, default=42, help="the recipe run to process (default: 42)")
    parser.add_argument(
        "--corrupt-input",
        action="store_true",
        help="cut a level-0 frame in half: CalibrateFrames fails, is tried again, fails again, and the run fails",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
