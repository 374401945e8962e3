"""The command line as a whole: help, versions, wrong usage."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dkist_airflow_node import __version__
from dkist_airflow_node.commands import main

COMMANDS = [
    ["environments", "list"],
    ["environments", "prebuild"],
    ["environments", "prune"],
    ["messages", "test"],
    ["messages", "list"],
    ["messages", "resend"],
    ["messages", "reconcile"],
    ["status"],
]


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", [[], ["environments"], ["messages"], *COMMANDS], ids=" ".join)
def test_help_says_exit_statuses_and_where_to_read_on(
    command: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever help is asked for, it ends with the exit statuses and the page to read."""
    assert main([*command, option]) == 0
    text = capsys.readouterr().out
    assert "Exit status: 0 done, 1 faults found or refused, 2 wrong usage." in text
    assert "docs/how-to/" in text


@pytest.mark.parametrize(
    ("group", "setting"), [("environments", "DKIST_ENVIRONMENT_STORE"), ("messages", "DKIST_MESSAGE_SPOOL")]
)
def test_help_of_a_group_names_its_settings(group: str, setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each group says which environment variables it reads."""
    assert main([group, "--help"]) == 0
    assert setting in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["frobnicate"], ["messages", "list", "--yaml"], ["environments", "prebuild"]])
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command, an option or an argument that is not there is wrong usage, said on standard error."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "Usage: dkist-airflow-node" in captured.err
    assert captured.out == ""


def test_it_runs_as_a_module() -> None:
    """``python -m dkist_airflow_node`` is the command, and passes its exit status on."""
    program = [sys.executable, "-m", "dkist_airflow_node"]
    version, wrong = (
        subprocess.run([*program, option], capture_output=True, text=True, check=False)
        for option in ("--version", "--wrong")
    )
    assert (version.returncode, version.stdout) == (0, f"dkist-airflow-node {__version__}\n")
    assert wrong.returncode == 2
