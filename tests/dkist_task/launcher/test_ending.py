"""Every way to end a task: exit status, outcome file and log of the launcher agree, and the log says it once."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.dkist_task.conftest import Launched, Launcher
from tests.dkist_task.launcher.test_termination import terminate

HEAD = """
import asyncio, logging, logging.config
from dkist_task import TaskSkipped

class FrameError(Exception): pass
class Silent(Exception):
    def __str__(self): raise RuntimeError("no text")
class Odd(BaseException): pass

"""

STAGES = ("import", "__init__", "__enter__", "pre_run", "run", "post_run", "__exit__")
BEFORE_WORK = ("import", "__init__", "__enter__", "pre_run")


def task_that(statement: str, stage: str = "run") -> str:
    """Return a module whose task executes `statement` in a stage and does nothing in the others."""
    body = "".join(
        f"    def {name}(self, *_, **parameters):\n        {statement if name == stage else default}\n"
        for name, default in {
            "__init__": "super().__init__(**parameters)",
            "__enter__": "return self",
            "pre_run": "pass",
            "run": "pass",
            "post_run": "pass",
            "__exit__": "pass",
        }.items()
    )
    return HEAD + (f"{statement}\n" if stage == "import" else "") + "class Task(TaskBase):\n" + body


@dataclass(frozen=True)
class Ending:
    """What is known of a task that ended."""

    status: int
    """The exit status; a negative one is a signal's number."""

    result: str | None
    """The result of the outcome, None where there is no outcome."""

    error_type: str | None = None
    """The type of the error of the outcome."""

    reason: str | None = None
    """The reason of the outcome."""

    once: str = ""
    """What the log holds exactly once."""

    tracebacks: int = 0
    """How many tracebacks the log holds."""


def failed(error_type: str, reason: str, once: str = "", tracebacks: int = 1) -> Ending:
    """Return the ending of a task that failed; its reason is in the log once, unless something else is."""
    return Ending(1, "failure", error_type, reason, once or reason, tracebacks)


NO_IMAGE = failed("tasks.FrameError", "FrameError: no image")
EXIT_0 = "exited with 0 before run was entered"

ENDINGS: dict[str, tuple[str, Ending]] = {
    "returns": (task_that("pass"), Ending(0, "success", once="dkist_task: success")),
    **{f"raises in {s}": (task_that("raise FrameError('no image')", s), NO_IMAGE) for s in STAGES},
    **{
        f"exits with 0 in {s}": (
            task_that("sys.exit(0)", s),
            failed("SystemExit", EXIT_0, tracebacks=0)
            if s in BEFORE_WORK
            else Ending(0, "success", once="dkist_task: success"),
        )
        for s in STAGES
    },
    **{
        f"exits with {code} in {s}": (
            task_that(f"sys.exit({code})", s),
            failed("SystemExit", f"exited with {code}", tracebacks=0),
        )
        for s in STAGES
        for code in ("1", "99", "'text'")
    },
    **{
        f"skips in {s}": (
            task_that("raise TaskSkipped('no data')", s),
            Ending(0, "skip", reason="no data", once="skip: no data"),
        )
        for s in STAGES
    },
    "exits with None": (task_that("sys.exit()"), Ending(0, "success", once="dkist_task: success")),
    "exits with 256": (task_that("sys.exit(256)"), failed("SystemExit", "exited with 256", tracebacks=0)),
    "os._exit(0)": (task_that("os._exit(0)"), Ending(0, None)),
    "os._exit(7)": (task_that("os._exit(7)"), Ending(7, None)),
    "interrupted": (
        task_that("raise KeyboardInterrupt"),
        Ending(1, "cancellation", "KeyboardInterrupt", "KeyboardInterrupt", "cancellation: KeyboardInterrupt", 1),
    ),
    "times out": (
        task_that("raise TimeoutError('no answer')"),
        Ending(1, "timeout", "TimeoutError", "TimeoutError: no answer", "TimeoutError: no answer", 1),
    ),
    "out of memory": (
        task_that("raise MemoryError"),
        failed("MemoryError", "MemoryError", once="failure: MemoryError"),
    ),
    "recurses": (
        task_that("self.run()"),
        failed("RecursionError", "RecursionError: maximum recursion depth exceeded", once="failure: RecursionError"),
    ),
    "error without text": (
        task_that("raise Silent"),
        failed("tasks.Silent", "Silent: <Silent has no text: its __str__ raises>", once="failure: tasks.Silent"),
    ),
    "exception group": (
        task_that("raise ExceptionGroup('two frames', [FrameError('no image'), ValueError('dark')])"),
        failed("ExceptionGroup", "ExceptionGroup: two frames (2 sub-exceptions)", once="FrameError: no image"),
    ),
    "BaseException": (task_that("raise Odd('end')"), failed("tasks.Odd", "Odd: end")),
    "error with a cause": (
        task_that("raise FrameError('no image') from ValueError('dark')"),
        failed("tasks.FrameError", "FrameError: no image"),
    ),
    "closed streams": (
        task_that("sys.stdout.close(); sys.stderr.close(); raise FrameError('no image')"),
        NO_IMAGE,
    ),
    "closed descriptors": (
        task_that("os.close(1); os.close(2); raise FrameError('no image')"),
        NO_IMAGE,
    ),
    "streams of None": (task_that("sys.stdout = sys.stderr = None; raise FrameError('no image')"), NO_IMAGE),
    "logging.disable": (task_that("logging.disable(); raise FrameError('no image')"), NO_IMAGE),
    "dictConfig": (
        task_that("logging.config.dictConfig({'version': 1}); raise FrameError('no image')"),
        NO_IMAGE,
    ),
    "basicConfig": (
        task_that("logging.basicConfig(force=True, filename='own.log'); raise FrameError('no image')"),
        NO_IMAGE,
    ),
    "logging.shutdown": (task_that("logging.shutdown(); raise FrameError('no image')"), NO_IMAGE),
    "generator": (
        task_that("yield 1"),
        failed("TypeError", "TypeError: Task.run returned a generator, so none of its work was done: "
               "define it without 'async' and 'yield', and call asyncio.run in it where it needs a loop", tracebacks=0),
    ),
    "async": (
        task_that("pass").replace("def run", "async def run"),
        failed("TypeError", "TypeError: Task.run returned a coroutine, so none of its work was done: "
               "define it without 'async' and 'yield', and call asyncio.run in it where it needs a loop", tracebacks=0),
    ),
    "segfault": (task_that("os.kill(os.getpid(), 11)"), Ending(-11, None, once="Segmentation fault")),
    "SIGKILL": (task_that("os.kill(os.getpid(), 9)"), Ending(-9, None)),
    "syntax error": (
        HEAD + "def broken(:\n",
        failed("SyntaxError", "SyntaxError: invalid syntax (tasks.py, line 12)", "failure: SyntaxError", tracebacks=0),
    ),
    "missing import": (
        HEAD + "import no_such_module\n",
        failed("ModuleNotFoundError", "ModuleNotFoundError: No module named 'no_such_module'"),
    ),
    "no class": (
        HEAD,
        Ending(2, "error", "dkist_task.errors.RequestError", "no class 'Task' in module 'tasks' ({folder}/tasks.py)",
               "dkist_task: no class 'Task'"),
    ),
    "not a task": (
        HEAD + "class Task: pass\n",
        Ending(2, "error", "dkist_task.errors.RequestError",
               "tasks:Task is not a TaskBase: a task is a subclass of dkist_task.TaskBase", "is not a TaskBase"),
    ),
    "no run": (
        HEAD + "class Task(TaskBase): pass\n",
        Ending(2, "error", "dkist_task.errors.RequestError", "tasks:Task cannot be run: it does not define run",
               "does not define run"),
    ),
}  # fmt: skip


def check(ended: Launched, expected: Ending, folder: Path) -> None:
    """Compare what the launcher left with what is expected."""
    assert ended.status == expected.status, ended.log
    file = folder / "outcome.json"
    outcome: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"result": None}
    reason = expected.reason and expected.reason.format(folder=folder)
    said = outcome.get("reason")
    if expected.error_type == "RecursionError":  # what Python was about to do at that depth is chance
        said = str(said).partition(" while ")[0]
    found = outcome["result"], outcome.get("error_type"), said
    assert found == (expected.result, expected.error_type, reason)
    assert ended.log.count(expected.once or "Traceback") == (1 if expected.once else 0), ended.log
    assert ended.log.count("Traceback (most recent call last)") == expected.tracebacks, ended.log


@pytest.mark.parametrize("name", ENDINGS)
def test_status_outcome_and_log_agree(launch: Launcher, name: str) -> None:
    """However a task ends, the launcher reports it in every place alike."""
    code, expected = ENDINGS[name]
    ended = launch(code, DKIST_OUTCOME_FILE=str(launch.folder / "outcome.json"))
    check(ended, expected, launch.folder)


@pytest.mark.parametrize(
    ("stop", "result", "reason"),
    [
        (None, "cancellation", "SIGTERM"),
        ({"stop": "timeout", "text": "execution_timeout of 600 s"}, "timeout", "execution_timeout of 600 s"),
        ({"stop": "cancellation", "text": "cleared"}, "cancellation", "cleared"),
    ],
)
def test_a_stop_is_reported_in_every_place(
    launch: Launcher, stop: dict[str, str] | None, result: str, reason: str
) -> None:
    """A stopped task dies of SIGTERM; outcome and log say why."""
    if stop:
        (launch.folder / "stop.json").write_text(json.dumps(stop))
    process = launch.start(
        task_that("print('READY', flush=True); time.sleep(60)"),
        DKIST_OUTCOME_FILE=str(launch.folder / "outcome.json"),
        DKIST_STOP_FILE=str(launch.folder / "stop.json"),
    )
    expected = Ending(
        -signal.SIGTERM, result, "dkist_task.outcome.TaskTerminated", reason, once=f"dkist_task: {result}: {reason}"
    )
    check(terminate(launch, process), expected, launch.folder)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"DKIST_TASK": ""}, "no task (MODULE:CLASS): give it as an argument or set DKIST_TASK"),
        ({"DKIST_TASK": "nowhere:Task"}, "no module 'nowhere': No module named 'nowhere'"),
        ({"DKIST_WORKFLOW_NAME": ""},
         "no workflow name (--workflow-name): give it as an argument or set DKIST_WORKFLOW_NAME"),
        ({"DKIST_RECIPE_RUN_ID": "x"}, "recipe run id 'x' is not a positive integer (digits 0-9 only)"),
    ],
)  # fmt: skip
def test_an_unusable_environment_is_an_error(launch: Launcher, variables: dict[str, str], reason: str) -> None:
    """What the engine leaves out or misspells is one line, status 2 and the outcome *error*."""
    ended = launch.from_environment(
        task_that("pass"), DKIST_OUTCOME_FILE=str(launch.folder / "outcome.json"), **variables
    )
    check(ended, Ending(2, "error", "dkist_task.errors.RequestError", reason, once=reason), launch.folder)
    assert len(ended.errors.splitlines()) == 1
