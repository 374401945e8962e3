"""The ``environments`` commands: care of the environment store of a worker."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dkist_airflow_node.worker import (
    Environment,
    build_environment,
    environments,
    needed_environments,
    prunable_environments,
    remove_environment,
    store_folder,
)

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B)?", re.ASCII | re.IGNORECASE)


def add_environments_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``environments`` commands: each sets ``run``, which takes the arguments and returns the exit status."""
    text = "care of this worker's environment store ($DKIST_ENVIRONMENT_STORE)"
    group = subparsers.add_parser("environments", help=text, description=text)
    commands = group.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="list the environments, the longest unused first")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(run=run_list)

    command = commands.add_parser("prebuild", help="build what the tasks of a release folder will need")
    command.add_argument("folder", type=Path, metavar="FOLDER", help="release folder, where it is deployed")
    command.set_defaults(run=run_prebuild)

    command = commands.add_parser(
        "prune",
        help="remove environments that no process uses",
        description="Remove what interrupted builds left and, by age or size, environments that no process uses.",
    )
    command.add_argument("--keep-days", type=_days, metavar="N", help="remove what was last used more than N days ago")
    command.add_argument(
        "--max-size", type=_bytes, metavar="SIZE", help="remove the longest unused until the rest fits, as in 20GB"
    )
    command.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    command.set_defaults(run=run_prune)


def run_list(arguments: argparse.Namespace) -> int:
    """Print the store's environments as a table or as JSON."""
    store = store_folder()
    found = environments(store)
    if arguments.json:
        print(json.dumps([_row(environment) for environment in found], indent=1))  # noqa: T201  # the command's output
        return 0
    lines = [f"{'NAME':<48} {'SIZE':>9}  {'LAST USE (UTC)':<16}  STATE"]
    for environment in found:
        lines.append(
            f"{environment.name:<48} {_size_text(environment.size):>9}  "
            f"{environment.last_use:%Y-%m-%d %H:%M}  {_state(environment)}"
        )
        if environment.origin:
            lines.append(f"    for {environment.origin}")
        lines.extend(
            f"    used by process {process.pid}: {_whose(process.workflow, process.task, process.recipe_run_id)}"
            f"{process.command[:80]}"
            for process in environment.processes
        )
    total = sum(environment.size for environment in found)
    lines.append(f"{len(found)} environments, {_size_text(total)}, in {store}")
    print("\n".join(lines))  # noqa: T201  # the command's output
    return 0


def run_prebuild(arguments: argparse.Namespace) -> int:
    """Build the environments of a release one after the other; go on after one that fails, and fail in the end."""
    store_folder()  # refused before the first build rather than by each
    needed = needed_environments(arguments.folder)
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


def run_prune(arguments: argparse.Namespace) -> int:
    """Remove environments, each under its lock, and say which."""
    store = store_folder()
    found = environments(store)
    going = prunable_environments(found, keep=arguments.keep_days, max_size=arguments.max_size, now=datetime.now(UTC))
    verb = "would remove" if arguments.dry_run else "removed"
    freed = 0
    for environment in going:
        if arguments.dry_run or remove_environment(environment):
            freed += environment.size
            _say(f"{verb} {environment.name} ({_size_text(environment.size)}, {_state(environment)})")
        else:
            _say(f"kept {environment.name}: a task took it in the meantime")
    rest = sum(environment.size for environment in found) - freed
    _say(f"{verb} {_size_text(freed)}; {_size_text(rest)} stay in {store}")
    if arguments.max_size is not None and rest > arguments.max_size:
        _say(f"what stays is more than {_size_text(arguments.max_size)}, but is in use")
    return 0


def _row(environment: Environment) -> dict[str, Any]:
    return {
        "name": environment.name,
        "path": str(environment.path),
        "origin": environment.origin,
        "is_complete": environment.is_complete,
        "size": environment.size,
        "last_use": environment.last_use.isoformat(),
        "processes": [vars(process) for process in environment.processes],
    }


def _state(environment: Environment) -> str:
    if not environment.is_complete:
        return "being built" if environment.processes else "incomplete"
    return "in use" if environment.processes else "unused"


def _whose(workflow: str, task: str, recipe_run_id: str) -> str:
    return f"{workflow} {task} of recipe run {recipe_run_id}: " if task else ""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # in order with the script's own messages


def _size_text(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:  # decimal units
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _days(text: str) -> timedelta:
    with suppress(ValueError):
        days = float(text)
        if 0 <= days <= 36_500:  # a century; also refuses nan
            return timedelta(days=days)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of days, such as 60")


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 500MB, 20GB or 20GiB")
    number, prefix, unit = match.groups(default="")
    base = 1024 if unit.lower() == "ib" else 1000
    return int(float(number) * base ** ("KMGT".index(prefix.upper()) + 1 if prefix else 0))
