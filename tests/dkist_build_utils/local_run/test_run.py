"""A run as a user meets it: order, retries, timeouts, skips, failures, the table, the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dkist_build_utils.local_run import run_workflow, workflow_of_package
from tests.dkist_build_utils.local_run.local import FLOW, Local

FAILING = """
class Left(Tallied):
    retries = 1
    retry_delay_seconds = 0.5
    def work(self):
        print("looking at the frames")
        raise ValueError("no frames")
"""

MEETING = """
class Meets(Tallied):
    def work(self):
        time.sleep(0.5)
        if os.path.exists("meet"):
            open(f"{self.task_name} is here", "w").close()
            wait_for_file("Right is here" if self.task_name == "Left" else "Left is here")
class Left(Meets): ...
class Right(Meets): ...
"""


def test_every_task_runs_once_after_its_upstreams(local: Local) -> None:
    """The tasks run in order, each in a process of its own, and a table says what became of them."""
    done = local.run()
    assert done.returncode == 0, done.stderr
    begins = [line.split()[1] for line in local.tally if line.startswith("begin")]
    assert (begins[0], sorted(begins[1:3]), begins[3]) == ("Parse", ["Left", "Right"], "Join")
    heading, *rows = done.stdout.splitlines()
    assert heading.split() == ["TASK", "STATE", "SECONDS", "PEAK", "MEMORY", "TRIES", "WHY"]
    assert [row.split()[:2] for row in rows[:4]] == [[name, "success"] for name in ("Parse", "Left", "Right", "Join")]
    assert "Parse: success after" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_independent_tasks_run_at_once(local: Local) -> None:
    """As many tasks as there are jobs run at the same time."""
    local.write(MEETING)
    (local.folder / "meet").touch()
    assert local.run("--jobs", "2").returncode == 0
    assert [line.split()[0] for line in local.tally[2:6]] == ["begin", "begin", "end", "end"]
    (local.folder / "meet").unlink()
    assert local.run("--jobs", "1", "--fresh").returncode == 0
    assert [line.split()[0] for line in local.tally[10:14]] == ["begin", "end", "begin", "end"]


def test_failure_is_shown_with_its_log(local: Local) -> None:
    """What is downstream of a failure does not run, what is not does; the error and the log's end are shown."""
    local.write(FAILING)
    done = local.run()
    assert done.returncode == 1
    assert [line for line in local.tally if "Left" in line] == ["begin Left 1", "begin Left 2"]
    assert "end Right" in local.tally
    assert "begin Join 1" not in local.tally
    states = {line.split("  ")[0]: line for line in done.stdout.splitlines()[1:5]}
    assert "failure" in states["Left"]
    assert "upstream failed" in states["Join"]
    assert "  looking at the frames" in done.stdout
    assert "  ValueError: no frames" in done.stdout
    assert f"log: {local.run_folder}/logs/Left-2.log" in done.stdout
    assert "next try in 0.5 s" in done.stderr


def test_retry_that_succeeds(local: Local) -> None:
    """A task that fails at first is tried again after its delay, and what follows runs."""
    local.write(
        "class Left(Tallied):\n    retries = 2\n    retry_delay_seconds = 0.3\n"
        "    def work(self):\n        if os.environ['DKIST_TRY_NUMBER'] == '1': raise OSError('busy')\n"
    )
    summary = local.summary()
    left = next(task for task in summary["tasks"] if task["name"] == "Left")
    assert (summary["is_done"], left["state"], left["tries"]) == (True, "success", 2)
    assert left["peak_memory_bytes"] > 5e6
    assert left["cpu_seconds"] > 0


def test_timeout_lets_the_task_clean_up(local: Local) -> None:
    """A task that takes too long gets SIGTERM, unwinds, and is a timeout."""
    local.write(
        "class Left(Tallied):\n    timeout_seconds = 10\n"
        "    def work(self):\n        try: time.sleep(60)\n        finally: tally('cleaned up')\n"
    )
    summary = local.summary()
    left = next(task for task in summary["tasks"] if task["name"] == "Left")
    assert (left["state"], left["reason"]) == ("timeout", "timeout of 10 s")
    assert "cleaned up" in local.tally
    stop = json.loads((local.run_folder / "outcomes" / "Left-1-stop.json").read_text())
    assert stop == {"stop": "timeout", "text": "timeout of 10 s"}


def test_unusable_request_is_not_tried_again(local: Local) -> None:
    """Where the launcher refuses, a retry cannot help."""
    local.write("class Left(Tallied):\n    retries = 3\n")
    # The class is there for the command and gone for the task.
    text = "import os\nif 'DKIST_TASK' in os.environ: del Left\n"
    path = local.folder / "site" / "small" / "tasks.py"
    path.write_text(path.read_text() + text)
    left = next(task for task in local.summary()["tasks"] if task["name"] == "Left")
    assert (left["state"], left["tries"]) == ("error", 1)
    assert "no class 'Left'" in left["reason"]


def test_death_by_a_signal_is_named(local: Local) -> None:
    """A task that the kernel kills says so."""
    local.write("class Left(Tallied):\n    def work(self): os.kill(os.getpid(), signal.SIGKILL)\n")
    left = next(task for task in local.summary()["tasks"] if task["name"] == "Left")
    assert left["state"] == "failure"
    assert "SIGKILL" in left["reason"]
    assert "memory" in left["reason"]


def test_the_timeline_is_drawn(local: Local) -> None:
    """The spans of the run become a page in the run folder."""
    summary = local.summary()
    page = Path(summary["timeline"]).read_text()
    assert "small_main" in page
    assert all(name in page for name in ("Parse", "Left", "Right", "Join"))


def test_unknown_names_are_refused_with_the_known_ones(local: Local) -> None:
    """A task or a workflow that is not there is an error that says which are."""
    done = local.run("--from", "Nobody")
    assert done.returncode == 1
    assert done.stderr == "error: the workflow has no task 'Nobody'; it has Parse, Left, Right, Join\n"
    local.write(flow=f"{FLOW}\nother = Workflow('small', 'other', __package__, '1.0.0')\n")
    done = local.run()
    assert "several workflows: small_main, small_other; name one as PACKAGE:WORKFLOW" in done.stderr
    assert not local.run_folder.exists()
    done = local.run("--recipe-run-id", "0")
    assert done.returncode == 2


def test_default_folder_is_named_by_workflow_and_run(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --folder the state lies in the working folder, and the function needs no command line."""
    monkeypatch.chdir(local.folder)
    monkeypatch.syspath_prepend(str(local.folder / "site"))
    monkeypatch.setenv("TALLY", str(local.folder / "tally"))
    summary = run_workflow(workflow_of_package("small"), 12)
    assert summary.is_done
    assert summary.folder == Path(".dkist-run/small_main-12")
    assert summary.task("Join").state == "success"
    assert run_workflow(workflow_of_package("small"), 12).task("Join").state == "kept"


def test_what_a_task_leaves_behind_is_ended(local: Local) -> None:
    """A process that a task detached from itself does not outlive the run."""
    local.write(
        "class Left(Tallied):\n    def work(self):\n"
        "        subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'], start_new_session=True)\n"
    )
    assert local.run().returncode == 0
    assert local.processes() == []


def test_output_of_every_kind_reaches_the_log(local: Local) -> None:
    """Lines, an unfinished line, a progress bar, bytes that are no text and a line of a megabyte are kept."""
    local.write(
        "class Left(Tallied):\n    def work(self):\n"
        "        print('10 %\\r20 %\\r30 %'); sys.stdout.buffer.write(b'\\xff\\n' + b'x' * 1_000_000 + b'\\nno end')\n"
    )
    assert local.run().returncode == 0
    log = (local.run_folder / "logs" / "Left-1.log").read_bytes()
    assert b"\n30 %\n" in log
    assert b"10 %" not in log
    assert log.count(b"x") >= 1_000_000
    assert b"no end" in log


def test_parameters_reach_the_tasks_and_a_change_runs_them_again(local: Local) -> None:
    """A parameter is checked, travels as data, and another value is a reason to run."""
    flow = FLOW.replace("import Workflow", "import Parameter, Workflow").replace(
        '"1.0.0")', '"1.0.0", parameters=[Parameter("bins", int, 4, minimum=1), Parameter("name", str, "a")])'
    )
    local.write("class Left(Tallied):\n    def work(self): tally(os.environ['DKIST_PARAMETERS'])\n", flow=flow)
    assert local.run("--parameter", "bins=8").returncode == 0
    assert [json.loads(line) for line in local.tally if line.startswith("{")] == [{"bins": 8, "name": "a"}]
    assert set(local.plan("--parameter", "bins=8").values()) != set(local.plan().values())
    assert local.plan()["Parse"] == "run: parameters changed"
    assert "'bins'" in local.run("--parameter", "bins=0").stderr
    assert "no parameter 'size'; it has bins, name" in local.run("--parameter", "size=1").stderr
    assert local.run("--parameter", "bins").returncode == 2


def test_variables_of_another_task_do_not_reach_the_tasks(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that a task of another run starts takes neither its parameters nor its lock for its own."""
    local.write("class Parse(Tallied):\n    def work(self): print(f'got {dict(self.parameters)}')\n")
    monkeypatch.setenv("DKIST_PARAMETERS", '{"bins": 8}')
    monkeypatch.setenv("DKIST_LOCK", "/elsewhere.txt")
    assert local.states("--only", "Parse")["Parse"] == "success"
    assert "got {}" in (local.run_folder / "logs" / "Parse-1.log").read_text()
    (record,) = (local.run_folder / "records").glob("Parse-*")
    assert json.loads(record.read_text().splitlines()[0])["lock"] is None


def test_a_class_under_several_names(local: Local) -> None:
    """A task with a name of its own is run, logged and journaled under it."""
    flow = FLOW + "main.add_node(Parse, upstreams=Join, name='ParseAgain')\n"
    local.write(flow=flow)
    assert local.states()["ParseAgain"] == "success"
    assert (local.run_folder / "logs" / "ParseAgain-1.log").exists()


def test_names_as_long_as_airflow_takes_them(local: Local) -> None:
    """Two tasks whose names are too long for a file's name, and differ at their ends, have files of their own."""
    names = ["N" * 249 + end for end in "ab"]
    nodes = "".join(f"main.add_node(Parse, name={name!r})\n" for name in names)
    local.write(
        flow=f"from dkist_workflow import Workflow\nfrom small.tasks import Parse\n"
        f"main = Workflow('small', 'main', __package__, '1.0.0')\n{nodes}"
    )
    tasks = local.summary()["tasks"]
    assert [task["state"] for task in tasks] == ["success", "success"], tasks
    logs = [Path(task["log"]).read_text() for task in tasks]
    assert [name in log for name, log in zip(names, logs, strict=True)] == [True, True]
    assert len({task["log"] for task in tasks}) == 2


def test_skip_lets_the_tasks_downstream_run(local: Local) -> None:
    """A task with nothing to do is skipped, says why, is not tried again and holds up nobody."""
    local.write(
        "from dkist_task import TaskSkipped\nclass Left(Tallied):\n    retries = 2\n"
        "    def work(self): raise TaskSkipped('no polarimetric data')\n"
    )
    summary = local.summary()
    left = next(task for task in summary["tasks"] if task["name"] == "Left")
    assert (left["state"], left["reason"], left["tries"]) == ("skip", "no polarimetric data", 1)
    assert summary["is_done"]
    assert "end Join" in local.tally
    assert local.plan()["Left"].startswith("keep: skip")


def test_exit_behind_the_launcher_s_back_is_no_success(local: Local) -> None:
    """A process that ends with status 0 and says nothing has failed."""
    local.write("class Left(Tallied):\n    def work(self): os._exit(0)\n")
    left = next(task for task in local.summary()["tasks"] if task["name"] == "Left")
    assert left["state"] == "failure"
    assert "without saying how" in left["reason"]
