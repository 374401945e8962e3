"""The command ``dkist-build run``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dkist_build_utils.commands.table import table
from dkist_build_utils.local_run import (
    LocalRun,
    Selection,
    default_folder,
    local_workflow,
    progress_for,
    tail_of,
    workflow_of_package,
)

if TYPE_CHECKING:
    from dkist_build_utils.local_run import RunSummary, TaskSummary


@click.command("run")
@click.argument("package", metavar="PACKAGE[:WORKFLOW]")
@click.option("--recipe-run-id", type=click.IntRange(min=1), required=True, help="The recipe run to process.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the state of the run is kept. [default: .dkist-run/<workflow>-<recipe run id>]",
)
@click.option("--from", "start", metavar="TASK", help="Run this task and all downstream of it again.")
@click.option("--until", metavar="TASK", help="Run this task and all upstream of it, nothing else.")
@click.option("--only", metavar="TASK", multiple=True, help="Run just this task; repeatable.")
@click.option("--fresh", is_flag=True, help="Run everything again.")
@click.option("--dry-run", is_flag=True, help="Say which tasks would run and why, and run none.")
@click.option("--jobs", type=click.IntRange(min=1), help="Tasks that run at once. [default: the number of processors]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a table.")
def run_command(
    package: str,
    *,
    recipe_run_id: int,
    folder: Path | None,
    start: str | None,
    until: str | None,
    only: tuple[str, ...],
    fresh: bool,
    dry_run: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """
    Run a workflow of PACKAGE on this machine, without Airflow.

    Each task is a process of its own in this environment. What is done is kept in a folder: the same command goes on
    where it was stopped or killed, and runs again what changed. Ctrl-C stops everything in order, twice kills.
    """
    if only and (start or until):
        raise click.UsageError("--only excludes --from and --until")
    package, _, name = package.partition(":")
    workflow = local_workflow(workflow_of_package(package, name or None))
    selection = Selection.of(workflow.tasks, start=start, until=until, only=only, fresh=fresh)
    run = LocalRun(workflow, recipe_run_id, folder or default_folder(workflow, recipe_run_id))
    if dry_run:
        _show_plan(run, selection, as_json=as_json)
        return
    click.echo(f"run folder: {run.folder}", err=True)
    summary = run.execute(selection, jobs=jobs, progress=progress_for(sys.stderr))
    if as_json:
        click.echo(json.dumps(summary.to_object(), indent=1))
    else:
        _show_summary(summary)
    sys.exit(0 if summary.is_done else 1)


def _show_plan(run: LocalRun, selection: Selection, *, as_json: bool) -> None:
    """Print what would happen and why."""
    rows = [(step.task.name, step.action, step.reason) for step in run.plan(selection)]
    if as_json:
        keys = ("task", "action", "reason")
        click.echo(
            json.dumps({"folder": str(run.folder), "tasks": [dict(zip(keys, row, strict=True)) for row in rows]})
        )
    else:
        click.echo(
            table(("TASK", "ACTION", "WHY"), [(name, action, " ".join(why.split())) for name, action, why in rows])
        )


def _show_summary(summary: RunSummary) -> None:
    """Print a table, and what there is to know of each failed task."""
    headings = ("TASK", "STATE", "SECONDS", "PEAK MEMORY", "TRIES", "WHY")
    click.echo(table(headings, [_row(task) for task in summary.tasks]))
    for task in summary.tasks:
        if task.is_failed and task.log is not None:
            click.secho(f"\n{task.name}: {task.reason or task.state}", fg="red")
            for line in tail_of(task.log):
                click.echo(f"  {line}")
            click.echo(f"  log: {task.log}")
    if summary.timeline is not None:
        click.echo(f"\ntimeline: {summary.timeline}")


def _row(task: TaskSummary) -> tuple[str, ...]:
    memory = "-" if task.peak_memory_bytes is None else f"{task.peak_memory_bytes / 2**20:.0f} MiB"
    seconds = "-" if task.seconds is None else f"{task.seconds:.1f}"
    why = " ".join((task.reason or "").split())
    return (task.name, task.state, seconds, memory, str(task.tries or "-"), why if len(why) <= 100 else f"{why[:99]}…")
