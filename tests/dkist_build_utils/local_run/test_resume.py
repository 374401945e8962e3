"""Going on: after kills at any moment, changes, signals, a second command and a full disk."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.dkist_build_utils.local_run.local import FLOW, Local, until

SLOW = """
class Left(Tallied): seconds = 60
class Right(Tallied):
    def work(self):
        self.child = subprocess.Popen(
            [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(100)"],
            start_new_session=True,
        )
        tally("detached")
        time.sleep(60)
"""


def ends(tally: list[str]) -> Counter[str]:
    """Return how often each task came to its end."""
    return Counter(line.split()[1] for line in tally if line.startswith("end"))


def test_second_run_keeps_everything(local: Local) -> None:
    """What is done is not done again."""
    assert local.run().returncode == 0
    assert set(local.states().values()) == {"kept"}
    assert set(ends(local.tally).values()) == {1}


def test_kill_of_the_command_leaves_nothing_and_the_same_command_goes_on(local: Local) -> None:
    """After kill -9 of the command no process of a task is left, detached ones included; half-done tasks run again."""
    local.write(SLOW)
    command = local.start(stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    local.wait_for("begin Left 1")
    local.wait_for("detached")
    assert len(local.processes()) >= 4  # guardian, two tasks, a child
    command.kill()
    command.wait()
    until(lambda: local.processes() == [])
    plan = local.plan()
    assert plan.pop("Parse").startswith("keep: success")
    assert plan == {"Left": "run: interrupted", "Right": "run: interrupted", "Join": "run: never ran"}
    local.write("class Left(Tallied): seconds = 0\n")
    # The source is another, so everything runs: what counts here is that nothing is in the way.
    assert set(local.states().values()) == {"success"}
    assert (local.run_folder / "logs" / "Left-2.log").exists()


def test_kills_at_random_moments(local: Local) -> None:
    """Whenever the command is killed, what is in the journal is not done again, and all is done in the end."""
    names = [f"T{number}" for number in range(12)]
    classes = "\n".join(f"class {name}(Tallied): seconds = 0.05" for name in names)
    nodes = "".join(
        f"main.add_node({name}, upstreams={names[number - 2] if number > 1 else None})\n"
        for number, name in enumerate(names)
    )
    header = FLOW.partition("main.add_node")[0]
    local.write(classes, flow=header + nodes)
    chance = random.Random(12)
    journaled: set[str] = set()
    kills = 0
    for _ in range(8):
        command = local.start("--jobs", "2", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        lines = len(local.tally) + chance.randint(1, 5)
        while len(local.tally) < lines and command.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        if command.poll() is not None:
            break
        command.kill()
        command.wait()
        kills += 1
        done = set(local.plan_names("keep"))
        assert journaled <= done
        journaled = done
    assert set(local.states().values()) <= {"kept", "success"}
    assert ends(local.tally).keys() == set(names)
    again = {name: count for name, count in ends(local.tally).items() if count > 1}
    # A task may have ended in the moment between its end and its line: at most one for each job and kill.
    assert sum(count - 1 for count in again.values()) <= 2 * kills
    assert kills >= 2


def without_last_end(local: Local) -> None:
    """Take the last line, which is an end, from the journal: as if the command was killed before it wrote it."""
    journal = local.run_folder / "run.jsonl"
    *lines, end = journal.read_text().splitlines(keepends=True)
    assert '"result": ' in end
    journal.write_text("".join(lines))


def test_success_of_which_the_command_did_not_hear_is_kept(local: Local) -> None:
    """A task that ended well after the kill of its command is not run again: its outcome goes into the journal."""
    assert local.states("--until", "Parse")["Parse"] == "success"
    without_last_end(local)
    assert local.plan()["Parse"].startswith("keep: success at 20")
    assert local.states("--until", "Left")["Parse"] == "kept"
    without_last_end(local)
    assert set(local.states().values()) == {"kept", "success"}
    assert set(ends(local.tally).values()) == {1}
    assert set(local.states("--fresh").values()) == {"success"}


def test_outcome_of_other_code_or_of_a_stop_is_no_success(local: Local) -> None:
    """What did not end well is interrupted; what ended well, but from other code, runs again for that reason."""
    assert local.states("--until", "Parse")["Parse"] == "success"
    without_last_end(local)
    local.write("class More(Tallied): ...\n")
    assert local.plan()["Parse"] == "run: code changed: small.tasks"
    (local.run_folder / "outcomes" / "Parse-1.json").write_text('{"result": "cancellation"}')
    assert local.plan()["Parse"] == "run: interrupted"
    (local.run_folder / "outcomes" / "Parse-1.json").unlink()
    assert local.plan()["Parse"] == "run: interrupted"


def test_kill_of_a_task_is_a_failure_of_that_task(local: Local) -> None:
    """The command survives the kill of a task; the others are kept and the killed one runs again."""
    local.write("class Left(Tallied):\n    def work(self):\n        tally(f'pid {os.getpid()}'); time.sleep(60)\n")
    command = local.start(stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until(lambda: any(line.startswith("pid") for line in local.tally) and "end Right" in local.tally)
    os.kill(int(next(line.split()[1] for line in local.tally if line.startswith("pid"))), signal.SIGKILL)
    assert command.wait(60) == 1
    plan = local.plan()
    assert "SIGKILL" in plan["Left"]
    assert plan["Right"].startswith("keep")


def test_kill_of_the_guardian_is_an_error_and_kills_the_tasks(local: Local) -> None:
    """If the process that starts tasks is killed, the tasks die with it and the command says so."""
    local.write("class Left(Tallied): seconds = 60\n")
    command = local.start(stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    local.wait_for("begin Left 1")
    local.wait_for("end Right")  # then no process ends or begins while they are looked at
    until(lambda: len(local.processes()) == 3)  # the command, the guardian and Left
    (guardian,) = [pid for pid in local.processes() if b"guardian.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(guardian, signal.SIGKILL)
    _, errors = command.communicate(timeout=60)
    assert command.returncode == 1
    assert "the process that starts tasks ended with status -9" in errors
    until(lambda: local.processes() == [])
    assert local.plan()["Left"] == "run: interrupted"


def test_changed_source_runs_again_with_what_is_downstream(local: Local) -> None:
    """A change in the module of a task runs it and what follows; the dry run says so and runs nothing."""
    flow = FLOW.replace("from small.tasks import *", "from small.tasks import *\nfrom small.more import Left")
    local.write(flow=flow)
    more = local.folder / "site" / "small" / "more.py"
    more.write_text("from small.tasks import Tallied\nclass Left(Tallied): ...\n")
    assert local.run().returncode == 0
    more.write_text("from small.tasks import Tallied\nclass Left(Tallied): seconds = 0.1\n")
    before = local.tally
    plan = local.plan()
    assert local.tally == before
    assert (plan["Left"], plan["Join"]) == ("run: code changed: small.more", "run: upstream Left runs again")
    assert local.states() == {"Parse": "kept", "Left": "success", "Right": "kept", "Join": "success"}


def test_parts_that_are_asked_for(local: Local) -> None:
    """--until stops early, --from and --only run again, and what they left behind is seen later."""
    assert local.states("--until", "Left") == {"Parse": "success", "Left": "success", "Right": "left", "Join": "left"}
    assert local.states() == {"Parse": "kept", "Left": "kept", "Right": "success", "Join": "success"}
    assert local.states("--from", "Right") == {"Parse": "kept", "Left": "kept", "Right": "success", "Join": "success"}
    assert local.states("--only", "Left") == {"Parse": "left", "Left": "success", "Right": "left", "Join": "left"}
    assert local.plan()["Join"] == "run: upstream Left ran again"
    assert set(local.states("--fresh").values()) == {"success"}
    assert local.run("--only", "Left", "--from", "Left").returncode == 2


def test_two_commands_on_one_folder(local: Local) -> None:
    """The second command is refused in one line, and the first goes on."""
    local.write("class Parse(Tallied):\n    def work(self): wait_for_file('go')\n")
    first = local.start(stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    local.wait_for("begin Parse 1")
    second = local.run()
    assert second.returncode == 1
    error = second.stderr.splitlines()[-1]
    assert f"in use by another dkist-build run (process {first.pid})" in error
    assert second.stdout == ""
    (local.folder / "go").touch()
    assert first.wait(60) == 0


def test_next_command_waits_for_the_tasks_of_a_killed_one(local: Local) -> None:
    """While a task of a killed command still cleans up, the same command waits for its end."""
    local.write(
        "class Parse(Tallied):\n    def work(self):\n        try:\n            if not os.path.exists('once'):\n"
        "                open('once', 'w'); tally('working'); time.sleep(60)\n        finally:\n"
        "            tally('cleaning'); time.sleep(8); tally('cleaned')\n"  # of the ten seconds that it has
    )
    command = local.start(stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    local.wait_for("working")
    command.kill()
    command.wait()
    done = local.run()
    assert done.returncode == 0, done.stderr
    assert "waiting for the end of the tasks of a command that was killed" in done.stderr
    assert local.tally.index("cleaned") < local.tally.index("begin Parse 2")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_in_order_and_keeps_what_is_done(local: Local, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM let running tasks clean up, start no other and end with status 1."""
    local.write(
        "class Left(Tallied):\n    retries = 2\n    def work(self):\n        try: tally('working'); time.sleep(60)\n"
        "        finally: tally('cleaned up')\nclass Right(Tallied): seconds = 60\n"
    )
    command = local.start(stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    local.wait_for("working")
    local.wait_for("begin Right 1")
    command.send_signal(number)
    output, errors = command.communicate(timeout=60)
    assert command.returncode == 1
    assert "cleaned up" in local.tally
    assert f"{number.name}: stopping" in errors
    states = {line.split()[0]: line.split()[1] for line in output.splitlines()[1:5]}
    assert states == {"Parse": "success", "Left": "cancellation", "Right": "cancellation", "Join": "not"}
    assert local.processes() == []
    assert local.plan()["Left"] == "run: interrupted"


def test_second_ctrl_c_kills(local: Local) -> None:
    """A task that does not end by SIGTERM is killed by the second Ctrl-C, at once."""
    local.write(
        "class Left(Tallied):\n    def work(self):\n        try: tally('working'); time.sleep(60)\n"
        "        finally: tally('stubborn'); time.sleep(60)\n"
    )
    command = local.start(stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    local.wait_for("working")
    command.send_signal(signal.SIGINT)
    local.wait_for("stubborn")
    start = time.monotonic()
    command.send_signal(signal.SIGINT)
    assert command.wait(60) == 1
    assert time.monotonic() - start < 8  # ten seconds after the first one it would be killed anyway
    assert local.processes() == []


def test_full_disk_is_one_line_and_nothing_is_lost(local: Local) -> None:
    """Where the journal finds no room the run stops with one clear error, and goes on when there is room."""
    assert set(local.states().values()) == {"success"}
    (journal,) = local.folder.rglob("run.jsonl")
    limit = journal.stat().st_size + 700  # bytes: room for the beginning of another run, and no task's log is as long
    limited = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    command = [sys.executable, "-c", f"{limited}; os.execv(sys.argv[1], sys.argv[1:])", *local.command("--fresh")]
    # No coverage in it: coverage's own file of data would meet the limit, too.
    environ = {name: value for name, value in local.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(command, env=environ, cwd=local.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, done.stderr
    assert "run.jsonl cannot be written: File too large; free disk space, then run the same command again" in errors[0]
    assert "Traceback" not in done.stderr
    assert local.processes() == []
    assert not [what for what in local.plan().values() if "never ran" in what]
    assert "success" in local.states().values()
    assert set(local.states().values()) == {"kept"}


def test_outcome_that_finds_no_room_is_no_failure_of_the_task(local: Local) -> None:
    """Where the launcher cannot write how a task ended, the run stops with that error, and the task runs again."""
    assert local.states("--until", "Parse")["Parse"] == "success"
    outcomes = local.run_folder / "outcomes"
    outcomes.rename(local.folder / "away")
    outcomes.mkdir()
    (outcomes / "Left-1.json").mkdir()  # the launcher cannot put a file in its place
    done = local.run("--only", "Left")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 1
    assert len(errors) == 1, done.stderr
    assert "Left-1 ended, but its outcome cannot be written: " in errors[0]
    assert "run the same command again" in errors[0]
    assert local.plan()["Parse"].startswith("keep")
    assert local.plan()["Left"] in {"run: asked for", "run: interrupted"}
    assert set(local.states().values()) == {"kept", "success"}


def test_hangup_does_not_end_what_nohup_started(local: Local) -> None:
    """Where the hangup is ignored, as ``nohup`` does it, the run outlives its terminal."""
    local.write("class Parse(Tallied): seconds = 2\n")
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", ignoring, *local.command("--only", "Parse")],
        env=local.environ,
        cwd=local.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    local.wait_for("begin Parse 1")
    command.send_signal(signal.SIGHUP)
    assert command.wait(30) == 0
    assert "end Parse" in local.tally


def test_ctrl_c_ends_the_wait_for_the_tasks_of_a_killed_command(local: Local) -> None:
    """A command that waits for an earlier one's tasks is ended by Ctrl-C at once, and starts nothing."""
    local.write(
        "class Parse(Tallied):\n    def work(self):\n        try: tally('working'); time.sleep(60)\n"
        "        finally: tally('cleaning'); time.sleep(8)\n"
    )
    first = local.start(stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    local.wait_for("working")
    first.kill()
    first.wait()
    second = local.start("--json", stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    assert second.stderr is not None
    while "waiting for the end" not in second.stderr.readline():
        pass
    start = time.monotonic()
    second.send_signal(signal.SIGINT)
    output, errors = second.communicate(timeout=20)
    assert time.monotonic() - start < 5
    assert "SIGINT: stopping" in errors
    assert second.returncode == 1
    assert {task["state"] for task in json.loads(output)["tasks"]} == {"not run"}
    assert "begin Parse 2" not in local.tally


def test_folder_of_another_recipe_run(local: Local) -> None:
    """A folder that holds another recipe run is refused."""
    assert local.run("--until", "Parse").returncode == 0
    done = local.run("--recipe-run-id", "8")
    assert done.returncode == 1
    assert "holds recipe run 7 of workflow 'small_main', not 8" in done.stderr
