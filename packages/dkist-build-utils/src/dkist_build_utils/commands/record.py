"""The command ``dkist-build record``."""

from __future__ import annotations

from pathlib import Path

import click

from dkist_build_utils.records import read_run, record_svg, write_crate
from dkist_build_utils.release import replace_file


@click.command("record")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--recipe-run-id", type=click.IntRange(min=1), help="The recipe run. [default: the only one]")
@click.option("--workflow", metavar="NAME", help="The workflow. [default: the only one]")
@click.option("--workflow-version", "version", metavar="V", help="Its version. [default: the only one]")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write, in place of an earlier record there. [default: record_<workflow>_<recipe run id>]",
)
@click.option("--prov-json", is_flag=True, help="Write prov.json into the folder, too.")
@click.option(
    "--svg",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the picture of the run to a file, too.",
)
@click.option(
    "--check-files/--no-check-files",
    default=True,
    show_default=True,
    help="Whether to look for the files that tasks declared, and whether they have changed.",
)
def record_command(
    folder: Path,
    *,
    recipe_run_id: int | None,
    workflow: str | None,
    version: str | None,
    output: Path | None,
    prov_json: bool,
    svg: Path | None,
    check_files: bool,
) -> None:
    """Make the record of a run: what ran, from which files, into which files.

    FOLDER is the folder of a local run, or the one that DKIST_RECORD_FOLDER named when the tasks ran. The record is a
    Workflow Run RO-Crate with a picture. Prints its folder; what a reader has to know goes to standard error: files
    that are gone or have changed, tasks that never reported an end.
    """
    run = read_run(folder, recipe_run_id, workflow=workflow, version=version, check_files=check_files)
    for remark in run.remarks:
        click.secho(f"note: {' '.join(remark.split())}", err=True, fg="yellow")
    if svg is not None:
        replace_file(svg, record_svg(run).encode())
    name = f"record_{run.workflow}_{run.recipe_run_id}".replace("/", "_")
    click.echo(write_crate(run, output or Path(name), prov_json=prov_json))
