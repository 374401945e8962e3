"""The command ``dkist-build run``."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dkist_airflow_node.commands import size_text, table
from dkist_build_utils.errors import BuildError
from dkist_build_utils.local_run import (
    LocalRun,
    Selection,
    default_folder,
    is_release,
    local_workflow,
    progress_for,
    tail_of,
    workflow_of_package,
    workflow_of_release,
)
from dkist_build_utils.release import MANIFEST_NAME, POOLS_NAME

if TYPE_CHECKING:
    from dkist_build_utils.local_run import LocalWorkflow, RunSummary, TaskSummary


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
@click.option("--locked", is_flag=True, help="Run each task in the environment of its lock, as a worker does.")
@click.option("--parameter", "parameters", metavar="NAME=VALUE", multiple=True, help="Set a parameter; repeatable.")
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
    locked: bool,
    parameters: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run a workflow of PACKAGE on this machine, without Airflow.

    Each task is a process of its own: in this environment, or with --locked in the environment that its lock in the
    exported release describes. A release folder in place of PACKAGE is always run locked.

    What is done is kept in a folder: the same command goes on where it was stopped or killed, and runs again what
    changed. Ctrl-C stops everything in order, twice kills. Exit status: 0 all done, 1 something failed or was stopped.
    """
    if only and (start or until):
        raise click.UsageError("--only excludes --from and --until")
    workflow = _workflow_of(package, _pairs(parameters), is_locked=locked)
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


def _workflow_of(source: str, parameters: dict[str, str], *, is_locked: bool) -> LocalWorkflow:
    """Return the workflow of ``PACKAGE[:WORKFLOW]`` or ``RELEASE_FOLDER[:WORKFLOW]``."""
    release = next((path for path in (Path(source), Path(source.rpartition(":")[0])) if is_release(path)), None)
    place, _, name = ("", "", source[len(str(release)) + 1 :]) if release else source.partition(":")
    if release is None:
        is_name = all(part.isidentifier() for part in place.split("."))
        if Path(place).is_dir() and not (is_name and _is_package(place, Path(place))):
            raise BuildError(
                f"the folder '{place}' is not a release folder ({MANIFEST_NAME} is not in it), and no package has that "
                f"name; name a release folder, such as {_release_below(Path(place))}, or a package"
            )
        if not is_name:
            raise BuildError(
                f"{place!r} is neither the dotted name of a package nor a release folder ({MANIFEST_NAME} is not in "
                "it); make one with 'dkist-build export'"
            )
        workflow = workflow_of_package(place, name or None)
        if not is_locked:
            return local_workflow(workflow, parameters)
        release, name = Path(f"{workflow.distribution}_{workflow.workflow_version}"), workflow.workflow_name
        if not is_release(release):
            raise BuildError(
                f"there is no release folder {release} here with the locks of {place!r}; make it with "
                f"'dkist-build export {place}', set BUILD_VERSION to the version of one that is here, or name a "
                "release folder in place of the package"
            )
    return workflow_of_release(release, name or None, parameters)


def _is_package(name: str, folder: Path) -> bool:
    """Return whether a name that is that of a folder here is that of a package too.

    Where the working folder is searched for modules, Python takes any folder in it for a package.
    """
    spec = find_spec(name.partition(".")[0])
    if spec is None or spec.origin is not None:
        return spec is not None
    modules = (file.relative_to(folder).with_suffix("").parts for file in folder.rglob("*.py"))
    return not (folder / POOLS_NAME).exists() and any(all(map(str.isidentifier, parts)) for parts in modules)


def _release_below(folder: Path) -> str:
    """Return the first release folder directly in a folder, or how one is named."""
    found = sorted(path for path in folder.iterdir() if is_release(path))
    return f"'{found[0]}'" if found else f"'{folder}/<distribution>_<version>'"


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """Return names and values of ``NAME=VALUE``."""
    pairs = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--parameter")
        pairs[name] = value
    return pairs


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
    memory = "-" if task.peak_memory_bytes is None else size_text(task.peak_memory_bytes)
    seconds = "-" if task.seconds is None else f"{task.seconds:.1f}"
    why = " ".join((task.reason or "").split())
    return (task.name, task.state, seconds, memory, str(task.tries or "-"), why if len(why) <= 100 else f"{why[:99]}…")
