"""The messages commands, with a broker that refuses connections. These tests need no RabbitMQ."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from dkist_airflow_node.commands import main
from dkist_airflow_node.messages import Spool
from tests.dkist_airflow_node.messages import servers
from tests.dkist_airflow_node.messages.test_message import make_message


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """Return the spool of the commands."""
    return servers.use_no_broker(monkeypatch, tmp_path / "spool")


def test_list(spool: Spool, capsys: pytest.CaptureFixture[str]) -> None:
    """``messages list`` shows which recipe run waits and why it failed, also from a file that somebody copied there."""
    path = spool.add(make_message().to_json())
    path.with_name("saved-by-hand.json").write_bytes(make_message("Write").to_json())
    (spool.folder / "0-x.json").write_text("{")
    assert main(["messages", "list"]) == 0
    headings, first, second, unreadable, count = capsys.readouterr().out.splitlines()
    assert headings.split() == ["SINCE", "(UTC)", "WORKFLOW", "TASK", "RUN", "RECIPE", "RUN", "KEY", "REASON"]
    row = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  vbi_l0 1.0.0  %s +r1   7           key of %s +ValueError: é .*"
    assert re.fullmatch(row % ("Calibrate", "Calibrate"), first)
    assert re.fullmatch(row % ("Write", "Write"), second)
    assert unreadable == f"not a failure message: {spool.folder / '0-x.json'}"
    assert count == f"2 waiting in {spool.folder}"


def test_list_for_machines(spool: Spool, capsys: pytest.CaptureFixture[str]) -> None:
    """``messages list --json`` prints the messages complete, with members that this version does not know."""
    message = json.loads(make_message().to_json()) | {"addedLater": 1}
    spool.add(json.dumps(message).encode())
    assert main(["messages", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "waiting": [message],
        "unreadable": [],
        "aside": [],
        "undecided": [],
    }


@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", ["list", "resend"])
def test_a_pipe_and_a_folder_in_the_spool_hang_nothing(
    command: str, spool: Spool, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Both are named; `resend` also moves them out of the way."""
    spool.folder.mkdir()
    os.mkfifo(spool.folder / "0-pipe.json")
    (spool.folder / "1-folder.json").mkdir()
    assert main(["messages", command]) == 0
    said = capsys.readouterr().out + caplog.text
    assert str(spool.folder / "0-pipe.json") in said
    assert str(spool.folder / "1-folder.json") in said
    assert f"0 waiting in {spool.folder}" in said


def test_resend_says_why_not(spool: Spool, capsys: pytest.CaptureFixture[str]) -> None:
    """``messages resend`` tries at once, pause or not, and exits with 1 where messages are left."""
    spool.add(make_message().to_json())
    assert main(["messages", "resend"]) == 1
    captured = capsys.readouterr()
    assert captured.out == f"0 published, 1 waiting in {spool.folder}\n"
    assert "ConnectionRefusedError" in captured.err


def test_test_says_where_it_failed(capsys: pytest.CaptureFixture[str]) -> None:
    """``messages test`` stops at the step that fails, with its cause, and spools nothing."""
    assert main(["messages", "test"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("settings  broker 127.0.0.1 port 1, user 'dkist', no TLS")
    assert lines[1].startswith("address   FAILED: broker 127.0.0.1:1: ConnectionRefusedError")
    assert servers.SECRET not in "".join(lines)


def test_test_shows_an_alert(capsys: pytest.CaptureFixture[str], spool: Spool) -> None:
    """``messages test --failure`` shows what a person will read, also where no broker answers; exit status 1 then."""
    assert main(["messages", "test", "--failure"]) == 1
    alert = capsys.readouterr().out.partition("The alert for this message:\n\n")[2]
    assert alert.startswith("TEST, nothing has failed. FAILED: task test message of recipe run 1")
    for part in (
        "ValueError: ",
        "Attempt 2 of 2, after 3 min 12 s.",
        "Ran dkist-",
        "by the worker on ",
        "Log: https://",
    ):
        assert part in alert
    assert spool.paths() == []


@pytest.mark.parametrize("command", ["list", "resend"])
def test_a_spool_that_is_not_a_folder_is_one_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the file system refuses is a message that names the spool, without a traceback."""
    spool_file = tmp_path / "file"
    spool_file.touch()
    monkeypatch.setenv("DKIST_MESSAGE_SPOOL", str(spool_file))
    assert main(["messages", command]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: the spool {spool_file} cannot be read: ")
    assert error.count("\n") == 1


def test_empty_certificates_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """``DKIST_MESSAGE_CA_FILE=""`` does not mean a connection without TLS."""
    monkeypatch.setenv("DKIST_MESSAGE_CA_FILE", "")
    assert main(["messages", "test"]) == 1
    assert "DKIST_MESSAGE_CA_FILE is empty" in capsys.readouterr().err
