"""The command ``dkist-build new``."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from dkist_build_utils.instrument_package import (
    PackageName,
    create_package,
    folder_of_wheels,
    is_installed_from_index,
)

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("new")
@click.argument("name")
@click.option("--output", type=_FOLDER, default=Path(), help="Where to make the package's folder. [default: here]")
@click.option(
    "--find-links",
    type=_FOLDER,
    help="A folder with the wheels of dkist-task and its siblings, if no index has them: the new README and CI file "
    "name it. [default: the one of UV_FIND_LINKS, if any]",
)
def new_command(name: str, *, output: Path, find_links: Path | None) -> None:
    """Make an instrument package NAME: three tasks, a workflow, tests, lint, CI.

    It passes its own tests and runs at once. The folder NAME must not be there, or be empty. Prints its path, and on
    standard error what to do next.
    """
    wheels = folder_of_wheels(find_links)
    package = PackageName.of(name)
    folder = create_package(package, output, wheels)
    click.echo(folder)
    click.echo("\nnext:", err=True)
    for step in _next_steps(package, folder, wheels):
        click.echo(f"  {step}", err=True)
    if wheels is None and not is_installed_from_index():
        click.secho(
            "warning: dkist-task was installed here from a folder or a file. Another environment, and 'dkist-build "
            "export', need its wheel on an index or in a folder: set UV_FIND_LINKS to that, or give --find-links",
            err=True,
            fg="yellow",
        )


def _next_steps(package: PackageName, folder: Path, wheels: Path | None) -> tuple[str, str, str]:
    """Return three commands for a shell: install and enter the package, test it, run it."""
    install = ["uv", "pip", "install", "--editable", ".[test]"]
    if wheels is not None:
        install[3:3] = ["--find-links", str(wheels.resolve())]
    enter = [f"cd {shlex.quote(str(folder))}", f'{shlex.join(install[:-1])} "{install[-1]}"']
    if os.environ.get("VIRTUAL_ENV") != sys.prefix and (Path(sys.prefix) / "bin" / "activate").exists():
        enter.insert(0, f". {shlex.quote(sys.prefix)}/bin/activate")
    return (" && ".join(enter), "pytest", f"dkist-build run {package.import_name}.workflows --recipe-run-id 1")
