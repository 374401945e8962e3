"""``status``: the page, the JSON object and the metrics, with a small server in place of Airflow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dkist_airflow_node.commands import main
from dkist_airflow_node.messages import Ledger, Spool
from tests.dkist_airflow_node.messages.test_message import make_message
from tests.dkist_airflow_node.site.airflow_server import (
    NOW,
    AirflowServer,
    airflow_server,
    dag_row,
    iso,
    run_row,
    task_row,
)

HOSTILE = 'a"b\\c\nd\x1b[2J'

SAMPLE = re.compile(
    r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)', re.ASCII
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a spool, a store and a dags folder, for the command."""
    spool = Spool(tmp_path / "spool")
    spool.add(make_message().to_json())
    (spool.folder / "unreadable").mkdir()
    (spool.folder / "unreadable" / "x").touch()
    Ledger(spool.folder).add("key")
    store = tmp_path / "store"
    small, large = (store / f"{digit * 32}-py3.11-x86_64" for digit in "ab")
    for environment, size in ((small, 10_000), (large, 3_000_000)):
        environment.mkdir(parents=True)
        (environment / "file").write_bytes(bytes(size))
    (large / ".complete").write_text("1\nrequirements.txt\n")
    release = tmp_path / "airflow" / "dags" / "dkist-processing-vbi_1.0.0"
    release.mkdir(parents=True)
    workflows = [{"dag_id": "vbi_l0_1.0.0"}, {"dag_id": "vbi_l1_1.0.0"}]
    manifest = {"distribution": "dkist-processing-vbi", "version": "1.0.0", "workflows": workflows}
    (release / "manifest.json").write_text(json.dumps(manifest))
    broken = release.with_name("broken_2.0.0")
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    monkeypatch.setenv("DKIST_MESSAGE_SPOOL", str(spool.folder))
    monkeypatch.setenv("DKIST_ENVIRONMENT_STORE", str(store))
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.delenv("AIRFLOW__CORE__DAGS_FOLDER", raising=False)
    return tmp_path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowServer]:
    """Return an Airflow with two versions, tasks that run and tasks that failed."""
    with airflow_server() as server:
        tags = ("vbi", "l0", "vbi_l0", "2.0.0")
        server.dags = [dag_row(), dag_row("vbi_l0_2.0.0", tags=tags)]
        server.runs = [
            run_row(),
            run_row("r2", state="success"),
            run_row("r3", dag_id="vbi_l0_2.0.0", state="running", conf={"recipe_run_id": 42}),
        ]
        running: dict[str, Any] = {"dag_id": "vbi_l0_2.0.0", "state": "running"}
        server.tasks = [
            task_row(f"Failed{number}", end_date=iso(NOW - timedelta(minutes=number + 1))) for number in range(12)
        ]
        server.tasks += [
            task_row("Slow", "r3", **running, start_date=iso(NOW - timedelta(minutes=45))),
            task_row("Free", "r3", **running, start_date=iso(NOW - timedelta(seconds=50))),
        ]
        limit = {"__type": "TimeDelta", "days": 0, "seconds": 3600, "microseconds": 0}
        server.definitions = [
            {"task_id": "Slow", "execution_timeout": limit},
            {"task_id": "Free", "execution_timeout": None},
        ]
        monkeypatch.setenv("DKIST_AIRFLOW_URL", server.url)
        yield server


def page(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what the command prints."""
    assert main(["status", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_page(
    columns: int,
    server: AirflowServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every fact is there, and no line is longer than the terminal is wide."""
    monkeypatch.setenv("COLUMNS", str(columns))
    text = page(capsys)
    assert max(map(len, text.splitlines())) <= columns
    assert len(text.splitlines()) < 60
    words = " ".join(text.split())
    assert f"Airflow 3.3.2 at {server.url}: database healthy, scheduler unhealthy" in words
    assert "Runs of 2 of the 2 versions" in words
    assert re.search(r"vbi_l0 1\.0\.0 +- +- +1 +1\n", text)
    assert re.search(r"vbi_l0 2\.0\.0 +- +1 +- +-\n", text)
    assert re.search(r"Slow +42 +worker.* 4\dm \d\ds +1h 00m +[78]\d%\n", text)
    assert re.search(r"Free +42 +worker.* \d+[sm].* +none +-\n", text)
    assert text.index("Slow") < text.index("Free")
    assert "Failed tasks: 12" in text
    assert "and 2 more; see --json" in text
    assert "Failed9" in text
    assert "Failed10" not in text
    assert "Messages: 1 waiting; 1 set aside; 1 confirmed in 24h" in words
    assert "Environments: 2, 3.0 MB" in text
    assert "Releases: 2" in text
    assert re.search(r"dkist-\S+ +1\.0\.0 +2 +1 no", text)
    assert "MISSING" not in text


def test_sources_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is named with its reason, and the exit status is 0: the page was made."""
    monkeypatch.setenv("DKIST_AIRFLOW_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("DKIST_MESSAGE_SPOOL", "not/absolute")
    monkeypatch.setenv("DKIST_ENVIRONMENT_STORE", str(tmp_path / "none"))
    text = " ".join(page(capsys, "--dags-folder", str(tmp_path / "no-dags")).split())
    assert "Airflow: MISSING: Airflow's REST API at http://127.0.0.1:1 does not answer" in text
    assert "Messages: MISSING: DKIST_MESSAGE_SPOOL must be an absolute path" in text
    assert "Environments: MISSING: there is no environment store" in text
    assert "Releases: MISSING: the dags folder" in text
    found = json.loads(page(capsys, "--json", "--dags-folder", str(tmp_path / "no-dags")))
    assert [found[name] for name in ("airflow", "messages", "store", "dags")] == [None] * 4
    assert set(found["missing"]) == {"airflow", "messages", "store", "dags"}
    metrics = page(capsys, "--prometheus", "--dags-folder", str(tmp_path / "no-dags"))
    assert metrics.count('"} 0\n') == 4


@pytest.mark.usefixtures("folder")
def test_one_source_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are shown."""
    monkeypatch.setenv("DKIST_AIRFLOW_URL", "http://127.0.0.1:1")
    text = page(capsys)
    assert text.count("MISSING") == 1
    assert "1 waiting" in text
    assert re.search(r"dkist-processing-vbi +1\.0\.0 +2\n", text)


@pytest.mark.usefixtures("server", "folder")
def test_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON object has all of it, under names that stay."""
    found = json.loads(page(capsys, "--json"))
    assert list(found) == ["time", "since_seconds", "airflow", "messages", "store", "dags", "missing"]
    assert found["airflow"]["failed_count"] == 12
    assert {(run["version"], run["state"], run["count"]) for run in found["airflow"]["runs"]} == {
        ("1.0.0", "failed", 1),
        ("1.0.0", "success", 1),
        ("2.0.0", "running", 1),
    }
    slow = found["airflow"]["running"][0]
    assert (slow["task"], slow["recipe_run_id"], slow["timeout_seconds"], slow["end"]) == ("Slow", 42, 3600, None)
    assert [one["is_complete"] for one in found["store"]["environments"]] == [True, False]
    assert found["dags"]["releases"][1]["dag_ids"] == ["vbi_l0_1.0.0", "vbi_l1_1.0.0"]
    assert "cannot be read" in found["dags"]["releases"][0]["problem"]
    assert found["missing"] == {}


def samples(text: str) -> dict[str, list[tuple[str, float]]]:
    """Return labels and value of each sample by its metric; fail where a line is not as the format has it."""
    found: dict[str, list[tuple[str, float]]] = {}
    assert text.endswith("\n")
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in found, "the lines of a metric belong together"
            found[name] = []
        elif line.startswith("# TYPE "):
            assert line.split()[2:] == [list(found)[-1], "gauge"]
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] == list(found)[-1]
            found[match[1]].append((match[2] or "", float(match[3])))
    for values in found.values():
        assert len({labels for labels, _ in values}) == len(values)
    return found


@pytest.mark.usefixtures("server", "folder")
def test_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its help and its type, once, and the values of the page."""
    found = samples(page(capsys, "--prometheus"))
    assert found["dkist_source_up"] == [(f'source="{name}"', 1) for name in ("airflow", "messages", "store", "dags")]
    assert ('workflow="vbi_l0",version="2.0.0",state="running"', 1) in found["dkist_runs"]
    ((labels, seconds),) = found["dkist_oldest_running_task_seconds"]
    assert labels == 'workflow="vbi_l0",version="2.0.0"'
    assert 2700 <= seconds < 3300
    assert found["dkist_running_task_timeout_ratio"][0][1] == pytest.approx(0.8, abs=0.1)
    assert found["dkist_messages_waiting"] == [("", 1)]
    assert found["dkist_failed_tasks"] == [("", 12)]
    assert dict(found["dkist_environments"]) == {'state="complete"': 1, 'state="incomplete"': 1}
    assert found["dkist_component_healthy"] == [('component="database"', 1), ('component="scheduler"', 0)]


def test_hostile_text(server: AirflowServer, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text of others breaks neither the page, nor the metrics, nor the terminal."""
    release = folder / "airflow" / "dags" / "broken_2.0.0" / "manifest.json"
    release.write_text(json.dumps({"distribution": HOSTILE, "version": "1", "workflows": []}))
    server.tasks.append(task_row(HOSTILE, "r3", dag_id="vbi_l0_2.0.0", state="running", hostname=HOSTILE))
    assert "\x1b" not in page(capsys)
    found = samples(page(capsys, "--prometheus"))
    assert any(r"a\"b\\c\nd" in labels for labels, _ in found["dkist_release_workflows"])


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """A span of nothing is refused."""
    assert main(["status", "--since", "0s"]) == 2
    assert "must be more than 0s" in capsys.readouterr().err
