"""The command ``dkist-build``."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dkist_airflow_node.commands import table
from dkist_build_utils.__about__ import __version__
from dkist_build_utils.checks import Validation, validation_of
from dkist_build_utils.commands.deployment import deploy_command, diff_command, list_command, undeploy_command
from dkist_build_utils.commands.epilogues import add_epilogues
from dkist_build_utils.commands.migration import migrate_command
from dkist_build_utils.commands.new import new_command
from dkist_build_utils.commands.record import record_command
from dkist_build_utils.commands.run import run_command
from dkist_build_utils.commands.trust import audit_command, verify_command
from dkist_build_utils.errors import BuildError, counted
from dkist_build_utils.pictures import mermaid, named_workflows, render_timeline, svg, tree
from dkist_build_utils.release import archive, export, replace_file, write_containerfiles
from dkist_workflow import WorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


class _Progress(logging.Handler):
    """Print progress on standard error, warnings in yellow."""

    def emit(self, record: logging.LogRecord) -> None:
        is_warning = record.levelno >= logging.WARNING
        text = f"{'warning: ' if is_warning else ''}{record.getMessage()}"
        click.secho(text, err=True, fg="yellow" if is_warning else None, dim=not is_warning)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(context: click.Context, *, debug: bool) -> None:
    """Turn a package of workflows into a deployed version.

    'new' begins a package. A build pipeline runs validate, export and archive; deploy runs where Airflow's dags folder
    is.
    """
    logger = logging.getLogger("dkist_build_utils")
    logger.handlers = [_Progress()]
    logger.propagate = False  # a package that takes over the root logger would print each line once more
    logger.setLevel(logging.DEBUG if sys.stderr.isatty() else logging.INFO)  # DEBUG: how long each step took
    context.with_resource(_errors_in_short(debug=debug))


@contextmanager
def _errors_in_short(*, debug: bool) -> Iterator[None]:
    """Turn an error into a message on standard error and exit status 1."""
    try:
        yield
    except (BuildError, WorkflowError, OSError) as error:
        if debug:
            raise
        text = str(error)
        if isinstance(error, OSError) and error.filename:
            text = f"{error.filename}: {error.strerror}"
        click.secho(f"error: {text}", err=True, fg="red")
        sys.exit(1)


@cli.command()
@click.argument("package")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a table.")
@click.option(
    "--airflow/--no-airflow",
    default=None,
    help="Whether to load the files in a real Airflow. [default: if it is installed]",
)
def validate(package: str, *, as_json: bool, airflow: bool | None) -> None:
    """Report every fault of the workflows in PACKAGE at once.

    PACKAGE is the dotted name of an importable package whose public modules hold Workflow objects, for example
    'my_instrument.workflows'.
    """
    validation = validation_of(package, airflow=airflow)
    if as_json:
        click.echo(json.dumps(_validation_object(validation), indent=1))
    else:
        for fault in validation.faults:
            click.secho(str(fault), err=True, fg="red")
        if not validation.faults:
            click.echo(table(("DAG", "TASKS", "QUEUES", "EXTRAS", "FOUND AS"), _validation_rows(validation)))
        asked = "loaded in Airflow" if validation.is_loaded_in_airflow else "not loaded in Airflow"
        workflows, faults = counted(len(validation.workflows), "workflow"), counted(len(validation.faults), "fault")
        click.echo(f"{workflows}, {faults}; {asked}", err=True)
    sys.exit(1 if validation.faults else 0)


def _validation_rows(validation: Validation) -> Iterator[tuple[str, ...]]:
    for found in validation.workflows:
        nodes = found.workflow.nodes
        yield (
            found.workflow.dag_id,
            str(len(nodes)),
            ", ".join(sorted({node.resource_queue.value for node in nodes})),
            ", ".join(sorted({extra for node in nodes for extra in node.pip_extras})) or "-",
            ", ".join(found.places),
        )


def _validation_object(validation: Validation) -> dict[str, Any]:
    return {
        "package": validation.package,
        "is_valid": not validation.faults,
        "is_loaded_in_airflow": validation.is_loaded_in_airflow,
        "workflows": [
            {
                "dag_id": found.workflow.dag_id,
                "places": list(found.places),
                "tasks": [node.name for node in found.workflow.nodes],
            }
            for found in validation.workflows
        ],
        "faults": [{"where": fault.where, "task": fault.task, "problem": fault.problem} for fault in validation.faults],
    }


@cli.command("export")
@click.argument("package")
@click.option("--version", help="The version of the release. [default: BUILD_VERSION, then dev]")
@click.option(
    "--output",
    type=_FOLDER,
    default=Path(),
    help="Where to make the release folder. [default: here]",
)
@click.option(
    "--find-links", type=_FOLDER, multiple=True, help="A folder with wheels that are not published yet; repeatable."
)
@click.option("--python", metavar="X.Y", help="The Python of the workers. [default: that of the locks, then this one]")
@click.option("--python-platform", metavar="P", help="Their platform, as uv names it: x86_64-manylinux_2_28, ...")
@click.option("--upgrade-locks", is_flag=True, help="Resolve every lock again; without it, existing locks are kept.")
@click.option(
    "--no-lock",
    is_flag=True,
    help="Make no locks: workers install what the requirements resolve to on that day, without hashes.",
)
@click.option(
    "--wheelhouse",
    is_flag=True,
    help="Put every wheel that the locks name into the release, so that workers need no index.",
)
@click.option("--notebook", is_flag=True, help="Write <dag_id>.ipynb of each workflow too, beside the release folder.")
def export_command(
    package: str,
    *,
    version: str | None,
    output: Path,
    find_links: tuple[Path, ...],
    python: str | None,
    python_platform: str | None,
    upgrade_locks: bool,
    no_lock: bool,
    wheelhouse: bool,
    notebook: bool,
) -> None:
    """Write the release folder of PACKAGE.

    The folder, <distribution>_<version>, holds DAG files, locks, pools, a manifest and, if asked for, wheels. It is
    replaced as a whole; on any fault nothing changes. Prints its path.
    """
    if no_lock and upgrade_locks:
        raise click.UsageError("--no-lock and --upgrade-locks exclude each other")
    if no_lock and wheelhouse:
        raise click.UsageError("--no-lock and --wheelhouse exclude each other: only locks name wheels")
    folder = export(
        package,
        output,
        version=version,
        find_links=find_links,
        python=python,
        python_platform=python_platform,
        upgrade_locks=upgrade_locks,
        lock=not no_lock,
        wheelhouse=wheelhouse,
        notebook=notebook,
    )
    click.echo(folder)


@cli.command("archive")
@click.argument("folder", type=_FOLDER)
@click.option(
    "--sign-with", type=_FILE, metavar="KEY", help="Sign the release with this private key of OpenSSH, and pack that."
)
def archive_command(folder: Path, *, sign_with: Path | None) -> None:
    """Pack the release FOLDER into FOLDER.tar.gz.

    Prints the path of the archive. The same folder gives the same bytes on any machine and any day; a signature by an
    Ed25519 key does so too.
    """
    click.echo(archive(folder, sign_with=sign_with))


@cli.command()
@click.argument("folder", metavar="RELEASE_FOLDER", type=_FOLDER)
@click.option(
    "--containerfile", is_flag=True, required=True, help="Write the files; an engine such as podman builds the images."
)
def image(folder: Path, **_: bool) -> None:
    """Describe an image for each lock of a release.

    Each Containerfile is written beside RELEASE_FOLDER, which is the context of its build. It installs from the lock
    alone, without an index where the release has its wheels. The image has no Airflow, and runs a task.
    """
    for path in write_containerfiles(folder):
        click.echo(path)


@cli.command()
@click.argument("package", metavar="PACKAGE[:WORKFLOW]")
@click.option("--format", "form", type=click.Choice(["tree", "mermaid", "svg"]), default="tree", show_default=True)
@click.option("--output", type=_FILE, help="Write to a file instead of the terminal.")
def graph(package: str, *, form: str, output: Path | None) -> None:
    """Draw the workflows of PACKAGE for people.

    All of them, or the one of a name: as a tree for a terminal, as a Mermaid flowchart for a README, or one of them as
    an SVG picture. Queues, extras and settings of the tasks are shown, and how a variant differs from its base.
    """
    package, _, name = package.partition(":")
    workflows = named_workflows(package, name or None)
    if form == "svg" and len(workflows) > 1:
        names = ", ".join(workflow.workflow_name for workflow in workflows)
        raise click.UsageError(f"a picture shows one workflow; name it as {package}:WORKFLOW, one of {names}")
    if form == "svg":
        text = svg(workflows[0])
    else:
        text = mermaid(workflows) if form == "mermaid" else "\n\n".join(map(tree, workflows))
    _say(text, output)


@cli.command()
@click.argument("folder", type=_FOLDER)
@click.option("--recipe-run-id", type=click.IntRange(min=1), help="Draw this recipe run only. [default: all]")
@click.option("--output", type=_FILE, help="Write to a file instead of the terminal.")
def timeline(folder: Path, *, recipe_run_id: int | None, output: Path | None) -> None:
    """Draw the tasks of a run over time.

    The drawing is a self-contained web page. FOLDER is the one that DKIST_SPAN_FOLDER named when the tasks ran.
    """
    _say(render_timeline(folder, None if recipe_run_id is None else str(recipe_run_id)), output)


def _say(text: str, output: Path | None) -> None:
    """Print a text, or write it to a file."""
    if output is None:
        click.echo(text)
    else:
        replace_file(output, f"{text}\n".encode())


for command in (
    new_command,
    run_command,
    record_command,
    deploy_command,
    undeploy_command,
    list_command,
    diff_command,
    verify_command,
    audit_command,
    migrate_command,
):
    cli.add_command(command)
add_epilogues(cli)


def main() -> None:
    """Run the command line."""
    cli.main(prog_name="dkist-build")
