"""The command of ``dkist-build`` that moves a client of dkist-processing-core to us."""

from __future__ import annotations

from pathlib import Path

import click

from dkist_build_utils.errors import counted
from dkist_build_utils.migration import migrate


@click.command("migrate")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--dry-run", is_flag=True, help="Show the difference, and write nothing.")
@click.option("--allow-dirty", is_flag=True, help="Write even if git cannot restore the files as they are now.")
def migrate_command(folder: Path, *, dry_run: bool, allow_dirty: bool) -> None:
    """Rewrite a client package of dkist-processing-core.

    FOLDER is the one with its pyproject.toml. Imports, workflows, requirements and the lines of a Bitbucket pipeline
    are rewritten; comments and formatting stay. What only a person can decide is listed on standard output, one place a
    line, and stays as it is. All files are written, or none. A second run changes nothing.

    Needs the extra 'migrate' of dkist-build-utils.
    """
    migration = migrate(folder, is_dry_run=dry_run, allow_dirty=allow_dirty)
    for change in migration.changes:
        if dry_run:
            click.echo(change.diff(), nl=False)
        else:
            click.echo(f"{'new' if change.before is None else 'changed'}: {change.path.as_posix()}", err=True)
    for decision in migration.decisions:
        click.echo(str(decision))
    for note in migration.notes:
        click.echo(f"note: {note}", err=True)
    verb = "would change" if dry_run else "changed"
    left = counted(len(migration.decisions), "place")
    click.echo(f"{counted(len(migration.changes), 'file')} {verb}; {left} for you to decide", err=True)
