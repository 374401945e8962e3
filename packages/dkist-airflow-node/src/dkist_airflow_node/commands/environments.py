"""The ``environments`` commands: care for the environment store of a worker."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from dkist_airflow_node.commands.command_help import epilogue
from dkist_airflow_node.commands.size import size_from_text, size_text
from dkist_airflow_node.commands.text_table import table
from dkist_airflow_node.worker import (
    Environment,
    build_environment,
    environments,
    needed_environments,
    prunable_environments,
    remove_environment,
    store_folder,
)

EPILOG = epilogue(
    "docs/how-to/environments.md",
    settings={
        "DKIST_ENVIRONMENT_STORE": "absolute path of the store "
        "[default: ${XDG_CACHE_HOME:-$HOME/.cache}/dkist/environments]"
    },
)


def _days(_context: click.Context, _parameter: click.Parameter, text: str | None) -> timedelta | None:
    if text is None:
        return None
    with suppress(ValueError):
        days = float(text)
        if 0 <= days <= 36_500:  # a century; also refuses nan
            return timedelta(days=days)
    raise click.BadParameter(f"{text!r} is not a number of days, such as 60")


def _size(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else size_from_text(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group("environments", epilog=EPILOG)
def environments_commands() -> None:
    """Care for this worker's environment store."""


@environments_commands.command("list", epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
def list_command(*, as_json: bool) -> None:
    """List the environments, the longest unused first, with the processes that use them."""
    store = store_folder()
    found = environments(store)
    if as_json:
        click.echo(json.dumps([_object(environment) for environment in found], indent=1))
        return
    rows = [
        (environment.name, size_text(environment.size), f"{environment.last_use:%Y-%m-%d %H:%M}", _state(environment))
        for environment in found
    ]
    headings, *lines = table(("NAME", "SIZE", "LAST USE (UTC)", "STATE"), rows).splitlines()
    click.echo(headings)
    for environment, line in zip(found, lines, strict=True):
        click.echo(line)
        if environment.origin:
            click.echo(f"    for {environment.origin}")
        for process in environment.processes:
            task = f"{process.workflow} {process.task} of recipe run {process.recipe_run_id}: " if process.task else ""
            click.echo(f"    used by process {process.pid}: {task}{process.command[:80]}")
    click.echo(f"{len(found)} environments, {size_text(sum(environment.size for environment in found))}, in {store}")


@environments_commands.command("prebuild", epilog=EPILOG)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def prebuild_command(folder: Path) -> int:
    """Build the environments that the tasks of a release need.

    FOLDER is the release folder, where it is deployed. The environments are built one after the other, also after one
    that cannot be built; then the exit status is 1.
    """
    store_folder()  # a wrong setting is reported once, before the first build
    needed = needed_environments(folder)
    failed = 0
    for number, environment in enumerate(needed, start=1):
        _say(f"[{number}/{len(needed)}] {environment.origin}, Python {environment.python}")
        begin = time.monotonic()
        if build_environment(environment, _say):
            _say(f"[{number}/{len(needed)}] ready after {time.monotonic() - begin:.1f} s")
        else:
            failed += 1
            _say(f"[{number}/{len(needed)}] failed")
    if failed:
        _say(f"{failed} of {len(needed)} environments could not be built")
    return 1 if failed else 0


@environments_commands.command("prune", epilog=EPILOG)
@click.option("--keep-days", callback=_days, metavar="N", help="Remove environments not used for N days.")
@click.option(
    "--max-size",
    callback=_size,
    metavar="SIZE",
    help="Remove the longest unused until the rest fits, for example 20GB.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before removing. Without a terminal it never asks.")
def prune_command(*, keep_days: timedelta | None, max_size: int | None, dry_run: bool, yes: bool) -> None:
    """Remove environments that no process uses.

    What interrupted builds have left is always removed; other environments by age, by size or by both.
    """
    store = store_folder()
    found = environments(store)
    going = prunable_environments(found, keep=keep_days, max_size=max_size, now=datetime.now(UTC))
    if going and not dry_run and not yes and sys.stdin.isatty():
        for environment in going:
            _say(f"will remove {_described(environment)}")
        count = "1 environment" if len(going) == 1 else f"{len(going)} environments"
        size = size_text(sum(environment.size for environment in going))
        click.confirm(f"Remove {count}, {size}?", abort=True, err=True)
    verb = "would remove" if dry_run else "removed"
    freed = 0
    for environment in going:
        if dry_run or remove_environment(environment):
            freed += environment.size
            _say(f"{verb} {_described(environment)}")
        else:
            _say(f"kept {environment.name}: a task took it in the meantime")
    rest = sum(environment.size for environment in found) - freed
    _say(f"{verb} {size_text(freed)}; {size_text(rest)} stay in {store}")
    if max_size is not None and rest > max_size:
        _say(f"what stays is more than {size_text(max_size)}, but is in use")


def _object(environment: Environment) -> dict[str, Any]:
    return {
        "name": environment.name,
        "path": str(environment.path),
        "origin": environment.origin,
        "is_complete": environment.is_complete,
        "size": environment.size,
        "last_use": environment.last_use.isoformat(),
        "processes": [vars(process) for process in environment.processes],
    }


def _described(environment: Environment) -> str:
    return f"{environment.name} ({size_text(environment.size)}, {_state(environment)})"


def _state(environment: Environment) -> str:
    if not environment.is_complete:
        return "being built" if environment.processes else "incomplete"
    return "in use" if environment.processes else "unused"


def _say(line: str) -> None:
    click.echo(line, err=True)  # in order with the messages of the builds
