"""Running a workflow on this machine: from what was asked for to what came of it."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils.errors import BuildError
from dkist_build_utils.local_run.attempt import DONE_RESULTS, Attempt
from dkist_build_utils.local_run.ending import ending_of, read_outcome
from dkist_build_utils.local_run.execution import Execution
from dkist_build_utils.local_run.guard import Guard
from dkist_build_utils.local_run.interruption import Interruption
from dkist_build_utils.local_run.journal import Journal, RunIdentity, read_record
from dkist_build_utils.local_run.plan import LocalWorkflow, Selection, Step, plan
from dkist_build_utils.local_run.process import AttemptFiles, AttemptProcess
from dkist_build_utils.local_run.progress import Progress
from dkist_build_utils.local_run.runner_process import RunnerProcess
from dkist_build_utils.local_run.source import environ_of_tasks, local_workflow
from dkist_build_utils.local_run.summary import RunSummary
from dkist_build_utils.pictures import render_timeline

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from dkist_build_utils.local_run.execution import StartProcess
    from dkist_build_utils.local_run.journal import Record
    from dkist_build_utils.local_run.plan import LocalTask
    from dkist_workflow import Workflow

READY_SECONDS = 0.5
"""After this long, say that the tasks of an earlier command are waited for."""
RUNS_FOLDER = ".dkist-run"
"""The folder, within the working folder, of the run folders that are not named."""


@dataclass(frozen=True)
class LocalRun:
    """A workflow, a recipe run and the folder that holds what is known of both."""

    workflow: LocalWorkflow
    """The workflow."""
    recipe_run_id: int
    """The recipe run."""
    folder: Path
    """The run folder."""

    @property
    def identity(self) -> RunIdentity:
        """What the run folder has to belong to."""
        return RunIdentity(self.workflow.name, self.recipe_run_id)

    def plan(self, selection: Selection) -> tuple[Step, ...]:
        """Return what `execute` would do; nothing is changed."""
        record = read_record(self.folder, self.identity)
        for attempt in unheard_attempts(self.folder, record):
            record.add(1 + max(record.places.values(), default=0), attempt.to_entry())
        return plan(self.workflow.tasks, record, selection)

    def execute(self, selection: Selection, *, jobs: int | None = None, progress: Progress | None = None) -> RunSummary:
        """Run what the selection asks for and return what came of it.

        Parameters
        ----------
        selection : Selection
            The part of the workflow to run.
        jobs : int, optional
            How many tasks run at once; as many as there are processors if not given.
        progress : Progress, optional
            Reports what happens.

        Raises
        ------
        BuildError
            The run folder cannot be used, or its journal cannot be written.
        """
        start = time.monotonic()
        progress = progress or Progress()
        folder = self.folder.absolute()
        with Journal(folder, self.identity) as journal:
            for name in ("logs", "outcomes", "records", "spans"):
                (folder / name).mkdir(exist_ok=True)
            environ = self._environ(folder)
            with Guard(folder / ".tasks.lock", environ) as guard, Interruption() as interruption:
                if not guard.wait_ready(READY_SECONDS, interruption):
                    progress.say("waiting for the end of the tasks of a command that was killed")
                    guard.wait_ready(None, interruption)
                journal.append(unheard_attempts(folder, journal.record))
                if selection.again:
                    journal.ask_again(selection.again)
                execution = Execution(
                    plan(self.workflow.tasks, journal.record, selection),
                    folder=folder,
                    journal=journal,
                    guard=guard,
                    start_process=self._process_starter(guard, environ),
                    jobs=jobs or len(os.sched_getaffinity(0)),
                    progress=progress,
                    interruption=interruption,
                )
                execution.run()
            return RunSummary(
                self.workflow.name,
                self.workflow.version,
                self.recipe_run_id,
                self.folder,
                round(time.monotonic() - start, 3),
                tuple(execution.summaries()),
                draw_timeline(folder),
            )

    def _environ(self, folder: Path) -> dict[str, str]:
        """Return the variables of every task."""
        return {
            **environ_of_tasks(),
            "DKIST_RECIPE_RUN_ID": str(self.recipe_run_id),
            "DKIST_WORKFLOW_NAME": self.workflow.name,
            "DKIST_WORKFLOW_VERSION": self.workflow.version,
            "DKIST_RECORD_FOLDER": str(folder / "records"),
            "DKIST_SPAN_FOLDER": str(folder / "spans"),
            "DKIST_LOG_FORMAT": "records",
            "OTEL_SERVICE_NAME": self.workflow.name,
            **self.workflow.variables,
        }

    def _process_starter(self, guard: Guard, environ: Mapping[str, str]) -> StartProcess:
        """Return what starts an attempt: in this environment, or by the runner in the one of its lock."""
        runner = self.workflow.runner

        def start(key: str, files: AttemptFiles, task: LocalTask, try_number: int) -> AttemptProcess:
            variables = {**task.variables, "DKIST_TRY_NUMBER": str(try_number)}
            if runner is None:
                return AttemptProcess(guard, key, files, variables)
            return RunnerProcess(guard, key, files, {**environ, **variables}, runner)

        return start


def unheard_attempts(folder: Path, record: Record) -> list[Attempt]:
    """Return the attempts that ended well when no command was left to write it to the journal.

    The launcher writes the outcome as its last act, whole or not at all.
    """
    attempts = []
    for task, begun in record.begun.items():
        if not record.is_interrupted(task) or "fingerprint" not in begun:
            continue
        ending = ending_of(0, read_outcome(AttemptFiles.of(folder, task, begun["try_number"]).outcome), None, "")
        if ending.result in DONE_RESULTS:
            attempts.append(Attempt.from_entry({**begun, **asdict(ending), "task": task}))
    return attempts


def default_folder(workflow: LocalWorkflow, recipe_run_id: int) -> Path:
    """Return the run folder where none is named."""
    return Path(RUNS_FOLDER) / f"{workflow.name}-{recipe_run_id}"


def draw_timeline(folder: Path) -> Path | None:
    """Draw the spans of a run folder and return the drawing; None where there are none, or no room for it."""
    path = folder / "timeline.html"
    try:
        path.write_text(render_timeline(folder / "spans"), encoding="utf-8")
    except (BuildError, OSError):
        return None
    return path


def run_workflow(
    workflow: Workflow,
    recipe_run_id: int,
    *,
    folder: Path | None = None,
    start: str | None = None,
    until: str | None = None,
    only: Collection[str] = (),
    fresh: bool = False,
    jobs: int | None = None,
    parameters: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> RunSummary:
    """Run a workflow on this machine, each task in a process of its own, and return what came of it.

    What is done already in the run folder is kept.

    Parameters
    ----------
    workflow : Workflow
        The workflow; its tasks are imported by name in other processes.
    recipe_run_id : int
        The recipe run, 1 or more.
    folder : Path, optional
        The run folder; `default_folder` if not given.
    start : str, optional
        This task and all downstream of it run again.
    until : str, optional
        Nothing runs but this task and all upstream of it.
    only : collection of str, optional
        Nothing runs but these, and they do.
    fresh : bool, optional
        Everything runs again.
    jobs : int, optional
        How many tasks run at once; as many as there are processors if not given.
    parameters : mapping, optional
        Values of parameters that the workflow declares; the others have their default.
    progress : Progress, optional
        Reports what happens; nothing is reported if not given.

    Returns
    -------
    RunSummary
        Its ``is_done`` says whether everything that was asked for is done.

    Raises
    ------
    BuildError
        A name is unknown, the run folder cannot be used, or its journal cannot be written.
    WorkflowError
        A value is one that its parameter cannot have.
    """
    local = local_workflow(workflow, parameters)
    selection = Selection.of(local.tasks, start=start, until=until, only=only, fresh=fresh)
    run = LocalRun(local, recipe_run_id, folder or default_folder(local, recipe_run_id))
    return run.execute(selection, jobs=jobs, progress=progress)
