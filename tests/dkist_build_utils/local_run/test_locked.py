"""Runs of a release: each task in the environment that its lock describes, by the runner of a worker."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dkist_airflow_node.worker import runner_modules
from dkist_build_utils import BuildError, export
from dkist_build_utils.local_run import LocalRun, Selection
from dkist_build_utils.local_run.attempt import Fingerprint
from dkist_build_utils.local_run.plan import LocalTask, LocalWorkflow
from dkist_build_utils.local_run.released import workflow_of_release
from dkist_task import TaskSettings
from dkist_workflow import WorkflowError
from harness.packages import Package
from tests.dkist_build_utils.conftest import Install, instrument

LAUNCHER = """
import importlib, json, os, sys, time

module, name = os.environ["DKIST_TASK"].split(":")
result = getattr(importlib.import_module(module), name)()
result = result if isinstance(result, str) else None
with open(os.environ["DKIST_OUTCOME_FILE"], "w") as file:
    json.dump({"result": result or "success", "reason": "nothing to do" if result else None}, file)
"""
"""Stands for dkist-task, which has dependencies: it writes the outcome as the launcher does."""

BASE = """
class TaskBase:
    def __init__(self):
        self.run()
"""

TASKS = """
import json, os, sys, time

def Parse():
    record = {"level": "INFO", "logger": "small", "message": f"in {sys.prefix}", "time": "2026-11-24T10:00:00+00:00"}
    print("\\x1e" + json.dumps(record), flush=True)

def Skip():
    return "skip"

def Slow():
    print("slow", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a lock for an index on this machine, and have a store of its own used."""
    index = tmp_path / "index"
    packages = [
        Package("dkist-task", "0.1.0", modules={"__init__": BASE, "__main__": LAUNCHER}, extras={"otlp": []}),
        Package("small-instrument", "1.0.0", modules={"tasks": TASKS}),
    ]
    lines = []
    for package in packages:
        wheel = package.write_wheel(index)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{package.name}=={package.version} --hash=sha256:{digest}\n")
    path = tmp_path / "requirements.txt"
    path.write_text("".join(lines))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(index))
    monkeypatch.setenv("DKIST_ENVIRONMENT_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin")
    return path


def workflow(lock: Path, *names: str, timeout_seconds: float | None = None) -> LocalWorkflow:
    """Return a workflow of tasks in a row, as a release folder gives it."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    tasks = tuple(
        LocalTask(
            name,
            upstreams=names[max(0, number - 1) : number],
            settings=TaskSettings(retries=1, retry_delay_seconds=0, timeout_seconds=timeout_seconds),
            fingerprint=Fingerprint(f"small_instrument.tasks:{name}", "1.0.0", environment=f"lock {digest}"),
            variables={
                "DKIST_TASK": f"small_instrument.tasks:{name}",
                "DKIST_LOCK": str(lock),
                "DKIST_LOCK_SHA256": digest,
            },
        )
        for number, name in enumerate(names)
    )
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return LocalWorkflow("small_main", "1.0.0", tasks, {"DKIST_PYTHON": python}, runner_modules())


def test_tasks_run_in_the_environment_of_their_lock(lock: Path, tmp_path: Path) -> None:
    """The runner builds the environment, runs the task in it and reports; its log is readable."""
    local = workflow(lock, "Parse", "Skip")
    run = LocalRun(local, 7, tmp_path / "run")
    summary = run.execute(Selection.of(local.tasks))
    log = (tmp_path / "run" / "logs" / "Parse-1.log").read_text()
    assert (summary.task("Parse").state, summary.task("Skip").state) == ("success", "skip"), log
    assert f"INFO small: in {tmp_path / 'store'}" in log
    assert "\x1e" not in log
    assert summary.task("Skip").reason == "nothing to do"
    assert summary.task("Parse").peak_memory_bytes
    assert {step.action for step in run.plan(Selection.of(local.tasks))} == {"keep"}


def test_timeout_of_a_locked_task(lock: Path, tmp_path: Path) -> None:
    """The runner is asked to stop the task and says so."""
    local = workflow(lock, "Slow", timeout_seconds=6)
    summary = LocalRun(local, 7, tmp_path / "run").execute(Selection.of(local.tasks))
    assert (summary.task("Slow").state, summary.task("Slow").reason) == ("timeout", "timeout of 6 s")


def test_lock_that_is_not_the_release_s(lock: Path, tmp_path: Path) -> None:
    """A lock that was changed is an error that no retry helps."""
    local = workflow(lock, "Parse")
    lock.write_text(f"{lock.read_text()}\n")
    summary = LocalRun(local, 7, tmp_path / "run").execute(Selection.of(local.tasks))
    assert summary.task("Parse").state == "error"
    assert summary.task("Parse").tries == 1


PARAMETERS = """
from dkist_workflow import Parameter, Workflow
from {package}.tasks import Parse

main = Workflow("{package}", "main", __package__, parameters=[
    Parameter("bins", int, 4, minimum=1, maximum=64),
    Parameter("scale", float, 1),
    Parameter("is_quick", bool, False),
    Parameter("colours", str, "grey", choices=["grey", "heat"], description="Of the picture."),
])
main.add_node(task=Parse)
"""


def test_parameters_of_a_release(install: Install, tmp_path: Path) -> None:
    """The tasks of a release get its parameters: the default or what is given, checked as it was declared."""
    package = install(instrument(**{"workflows.main": PARAMETERS}))
    folder = export(f"{package}.workflows", tmp_path, version="1.0.0", lock=False)
    local = workflow_of_release(folder, parameters={"bins": "8"})
    expected = {"bins": 8, "scale": 1.0, "is_quick": False, "colours": "grey"}
    assert json.loads(local.variables["DKIST_PARAMETERS"]) == expected
    assert [task.fingerprint.parameters for task in local.tasks] == [expected]
    with pytest.raises(BuildError, match=r"has no parameter 'bin'; it has bins, scale, is_quick, colours$"):
        workflow_of_release(folder, parameters={"bin": "8"})
    with pytest.raises(WorkflowError, match=r"65 is above the maximum, 64"):
        workflow_of_release(folder, parameters={"bins": "65"})
    with pytest.raises(WorkflowError, match=r"'gray' is not one of 'grey', 'heat'"):
        workflow_of_release(folder, parameters={"colours": "gray"})


def test_exported_release(lock: Path, install: Install, tmp_path: Path) -> None:
    """The command runs what the DAG file of a release folder says; a package with --locked is its release."""
    package = instrument("1.0.0")
    package.write_wheel(lock.parent / "index")
    folder = export(f"{install(package)}.workflows", tmp_path, version="1.0.0")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dkist_build_utils", "run", *arguments, "--recipe-run-id", "3"]
        environ = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "BUILD_VERSION": "1.0.0"}
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    done = run(folder.name, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    assert summary["folder"] == f".dkist-run/{package.import_name}_main-3"
    assert {task["state"] for task in summary["tasks"]} == {"success"}
    assert " keep " in run(folder.name, "--dry-run").stdout
    locked = run(f"{package.import_name}.workflows", "--locked", "--dry-run", "--json")
    assert {step["action"] for step in json.loads(locked.stdout)["tasks"]} == {"keep"}
    assert "holds no workflow 'other'" in run(f"{folder.name}:other").stderr
    for file in folder.iterdir():
        file.unlink()
    assert "dkist-build export" in run(f"{package.import_name}.workflows", "--locked").stderr
