"""``messages reconcile``, once and for ever, with a small server in place of Airflow and no broker."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from dkist_airflow_node.commands import main
from dkist_airflow_node.messages import Spool
from dkist_airflow_node.site import api as api_module
from tests.dkist_airflow_node.messages import servers
from tests.dkist_airflow_node.site.airflow_server import AirflowServer, airflow_server, run_row, task_row


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spool:
    """Return the spool of the command."""
    return servers.use_no_broker(monkeypatch, tmp_path / "spool")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowServer]:
    """Return an Airflow with one failed task."""
    with airflow_server() as server:
        server.runs, server.tasks = [run_row()], [task_row("Clear\x1b[2J")]
        monkeypatch.setenv("DKIST_AIRFLOW_URL", server.url)
        monkeypatch.setattr(api_module, "PAUSES", (0.0, 0.0))
        yield server


@pytest.mark.usefixtures("server")
def test_what_is_spooled_is_shown(spool: Spool, capsys: pytest.CaptureFixture[str]) -> None:
    """One row for each failure, without the control characters of others, and how to go on."""
    assert main(["messages", "reconcile"]) == 0
    headings, row, count, advice = capsys.readouterr().out.splitlines()
    assert headings.split() == ["WORKFLOW", "TASK", "RUN", "RECIPE", "RUN", "KEY", "REASON"]
    assert row.startswith(r"vbi_l0 1.0.0  Clear\x1b[2J  r1   7 ")
    assert re.fullmatch(r"1 failures in 1 runs since .* UTC; 1 not reported before, spooled in .*", count)
    assert advice == "send them: dkist-airflow-node messages resend"
    assert len(spool.paths()) == 1
    assert main(["messages", "reconcile"]) == 0
    (count,) = capsys.readouterr().out.splitlines()
    assert "; 0 not reported before" in count


@pytest.mark.usefixtures("server")
def test_a_dry_run(spool: Spool, capsys: pytest.CaptureFixture[str]) -> None:
    """It shows the same and writes nothing."""
    assert main(["messages", "reconcile", "--dry-run", "--since", "2h"]) == 0
    assert "1 not reported before, would be spooled in" in capsys.readouterr().out
    assert not spool.folder.exists()


def test_airflow_is_away(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says which server does not answer, and the exit status is 1."""
    monkeypatch.setenv("DKIST_AIRFLOW_URL", "http://127.0.0.1:1")
    assert main(["messages", "reconcile"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: Airflow's REST API at http://127.0.0.1:1 does not answer: ConnectionRefusedError")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "yesterday"], "is not a span of time"),
        (["--since", "0s"], "must be more than 0s"),
        (["--since", "60d"], "at most 34d: older confirmations are forgotten"),
        (["--interval", "0.5s"], "must be at least 1s"),
        (["--watch", "--dry-run"], "do not go together"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A span that cannot be is refused with exit status 2."""
    assert main(["messages", "reconcile", *arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def watch(*arguments: str) -> subprocess.Popen[str]:
    """Start a watching reconciliation."""
    command = [sys.executable, "-m", "dkist_airflow_node", "messages", "reconcile", "--watch", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ))


def end(process: subprocess.Popen[str]) -> str:
    """Send SIGTERM; return what was written. It must end at once."""
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert time.monotonic() - begin < 20
    return output


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str], *, seconds: float = 60) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_watch_goes_on_and_sends(server: AirflowServer, spool: Spool) -> None:
    """A server that is away, and a broker that is away, are errors of one round; SIGTERM ends it with status 0."""
    server.faults = [(500, b"database", {})] * 3
    with watch("--interval", "1s") as process:
        # Three requests of the first round, and one of each other round: the third is over when the fourth begins.
        wait_for(lambda: sum(line.startswith("GET /api/v2/dags token") for line in server.asked) >= 6, process)
        output = end(process)
    assert "status 500: database" in output
    assert output.count("ConnectionRefusedError") >= 1  # the broker's
    assert "1 not reported before" in output
    assert "; 0 not reported before" in output
    assert output.endswith("ended by SIGTERM\n")
    assert len(spool.paths()) == 1


def test_watch_leaves_the_young_to_callbacks(server: AirflowServer, spool: Spool) -> None:
    """With a longer grace nothing is reported yet."""
    with watch("--grace", "5h") as process:
        wait_for(lambda: any("/list" in line for line in server.asked), process)
        time.sleep(0.5)
        end(process)
    assert spool.paths() == []


@pytest.mark.timeout(180)
def test_watch_ends_while_a_server_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM does not wait for the deadline of a request."""
    asked: list[bool] = []

    def say_nothing(connection: socket.socket) -> None:
        asked.append(True)
        servers.say_nothing(connection)

    with servers.serving(say_nothing) as port:
        monkeypatch.setenv("DKIST_AIRFLOW_URL", f"http://127.0.0.1:{port}")
        with watch() as process:
            wait_for(lambda: asked, process)
            assert end(process) == "ended by SIGTERM\n"


def test_the_unit_of_the_guide(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The systemd unit on the page is one, and its command has the options that it names."""
    page = Path(__file__).parents[3] / "docs" / "how-to" / "failure-messages.md"
    text = page.read_text(encoding="utf-8")
    (text,) = re.findall(r"^```ini\n(# /etc/systemd.*?)^```", text, re.DOTALL | re.MULTILINE)
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    program, *arguments = unit["Service"]["ExecStart"].removeprefix("/usr/bin/env ").split()
    assert program == "dkist-airflow-node"
    assert main([*arguments, "--help"]) == 0
    assert "--watch" in capsys.readouterr().out
    if systemd := shutil.which("systemd-analyze"):
        path = tmp_path / "dkist-messages.service"
        path.write_text(text)
        done = subprocess.run([systemd, "verify", "--man=no", path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
