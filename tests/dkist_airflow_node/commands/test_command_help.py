"""The end of every command's help, in both programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dkist_airflow_node.commands import cli as airflow_node
from dkist_airflow_node.commands import epilogue
from dkist_build_utils.commands import cli as build

ROOT = Path(__file__).parents[3]
PROGRAMS = {"dkist-airflow-node": airflow_node.cli, "dkist-build": build.cli}


def commands_of(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[str, ...]]:
    """Yield a command and all below it, each with the words that call it."""
    yield path
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands_of((*path, name), inner)


COMMANDS = [path for name, program in PROGRAMS.items() for path in commands_of((name,), program)]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_ends_with_statuses_settings_and_where_to_read_on(path: tuple[str, ...]) -> None:
    """Every command of both programs says its exit statuses and settings, and names pages that are there."""
    program, *words = path
    shown = CliRunner().invoke(PROGRAMS[program], [*words, "--help"])
    assert shown.exit_code == 0
    *_, statuses, pages = shown.output.strip().splitlines()
    assert statuses.strip() == "Exit status: 0 done, 1 faults found or refused, 2 wrong usage."
    assert "\n  Settings (environment variables):" in shown.output
    assert max(map(len, shown.output.splitlines())) <= 100
    named = pages.strip().removeprefix("Read on: ").removesuffix(".").split(" and ")
    assert [page for page in named if not (ROOT / page).is_file()] == []


def test_settings_stand_in_two_columns() -> None:
    """A long text goes on below its beginning; a word that is too long stays whole."""
    path = "/a" * 50
    lines = epilogue("README.md", settings={"SHORT": "one", "LONGER": f"words and {path}"}).splitlines()
    assert lines[1:5] == [
        "Settings (environment variables):",
        "  SHORT   one",
        "  LONGER  words and",
        f"          {path}",
    ]
