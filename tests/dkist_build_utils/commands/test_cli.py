"""The command line, run as a user does."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dkist_build_utils.conftest import WORKFLOW, Install, instrument
from tests.dkist_build_utils.keys import Keys

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Return a function that runs dkist-build in the root folder, with the packages of the test installed."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "dkist_build_utils", *map(str, arguments)],
            cwd="/",
            env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_every_command_explains_itself(command: Command) -> None:
    """The help lists every command, and each has a help of its own."""
    done = command("--help")
    assert done.returncode == 0
    names = (
        "new",
        "validate",
        "export",
        "archive",
        "deploy",
        "undeploy",
        "list",
        "diff",
        "graph",
        "timeline",
        "record",
        "verify",
        "audit",
    )
    assert [name for name in names if f"\n  {name} " not in done.stdout] == []
    for name in names:
        done = command(name, "--help")
        assert done.returncode == 0
        assert "Usage: dkist-build" in done.stdout


def test_sound_package_is_a_table(install: Install, command: Command) -> None:
    """Validation without faults prints a row a workflow and ends with status 0."""
    name = install(instrument())
    done = command("validate", f"{name}.workflows", "--no-airflow")
    assert done.returncode == 0, done.stderr
    heading, row = done.stdout.splitlines()
    assert heading.split() == ["DAG", "TASKS", "QUEUES", "EXTRAS", "FOUND", "AS"]
    assert row.split() == [
        f"{name}_main_dev",
        "3",
        "default,",
        "high_memory",
        "quality",
        f"{name}.workflows.main.main",
    ]
    assert "\x1b" not in done.stdout + done.stderr


def test_faults_end_with_status_1(install: Install, command: Command) -> None:
    """Faults are on standard error, one a line, without a traceback; as JSON they are on standard output."""
    name = install(instrument(**{"workflows.noisy": "print('noise')\nimport {package}.missing"}))
    done = command("validate", name, "--no-airflow")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{name}.workflows.noisy: the module does not import" in done.stderr
    assert "Traceback" not in done.stderr
    done = command("validate", name, "--no-airflow", "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert not answer["is_valid"]
    assert [fault["where"] for fault in answer["faults"]] == [f"{name}.workflows.noisy"]
    assert [workflow["dag_id"] for workflow in answer["workflows"]] == [f"{name}_main_dev"]


def test_wrong_usage_ends_with_status_2(command: Command, tmp_path: Path) -> None:
    """A wrong command, option or argument ends with status 2."""
    for arguments in (["nonsense"], ["validate"], ["export", "a", "--no-lock", "--upgrade-locks"], ["list"]):
        done = command(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_error_is_one_line_and_with_debug_a_traceback(command: Command, tmp_path: Path) -> None:
    """An error is one line; --debug shows where it was raised."""
    done = command("archive", tmp_path / "nowhere")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"error: {tmp_path / 'nowhere'}: there is no such folder"]
    done = command("--debug", "archive", tmp_path / "nowhere")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_release_from_the_command_line(install: Install, command: Command, offline: Path, tmp_path: Path) -> None:
    """Every command prints what a script needs on standard output, and progress on standard error."""
    package = instrument()
    package.write_wheel(offline)
    name = install(package)
    release = f"{package.name}_1.0.0"
    done = command("export", f"{name}.workflows", "--version", "1.0.0", "--output", tmp_path / "out")
    assert done.stdout == f"{tmp_path / 'out' / release}\n", done.stderr
    assert "resolving requirements.txt" in done.stderr
    done = command("archive", done.stdout.strip())
    assert done.stdout == f"{tmp_path / 'out' / release}.tar.gz\n"
    dags = tmp_path / "dags"
    dags.mkdir()
    done = command("deploy", done.stdout.strip(), "--dags-folder", dags, "--no-airflow")
    assert done.stdout == f"{dags / release}\n"
    assert "Airflow was not asked. It must have the pools high_memory_pool" in done.stderr
    done = command("list", "--dags-folder", dags)
    assert done.stdout.splitlines()[1].split()[:2] == [release, "1"]
    assert done.stdout.splitlines()[1].endswith("ok")
    done = command("diff", release, tmp_path / "out" / release, "--dags-folder", dags)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "0 changes\n")
    done = command("undeploy", release, "--dags-folder", dags, "--no-airflow")
    assert (done.returncode, done.stdout) == (1, "")
    done = command("undeploy", release, "--dags-folder", dags, "--force")
    assert done.returncode == 0
    assert list(dags.iterdir()) == []


def test_signed_release_from_the_command_line(
    install: Install, command: Command, offline: Path, tmp_path: Path, keys: Keys
) -> None:
    """Sign, verify, deploy where a signature is required, and ask what is held."""
    package = instrument()
    package.write_wheel(offline)
    folder = command("export", f"{install(package)}.workflows", "--version", "1.0.0", "--output", tmp_path / "out")
    unsigned = command("archive", folder.stdout.strip()).stdout.strip()
    dags = tmp_path / "dags"
    dags.mkdir()
    requirement = ("--require-signature", keys.allowed)
    done = command("deploy", unsigned, "--dags-folder", dags, "--no-airflow", *requirement)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {package.name}_1.0.0 is not signed, and a signature is")
    signed = command("archive", folder.stdout.strip(), "--sign-with", keys.private).stdout.strip()
    done = command("verify", signed, *requirement)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("signature: by builder@example.org with ED25519 key SHA256:")
    assert command("deploy", signed, "--dags-folder", dags, "--no-airflow", *requirement).returncode == 0
    done = command("list", "--dags-folder", dags, "--holds", "dkist-task<1")
    assert done.stdout.splitlines()[1].split() == [
        f"{package.name}_1.0.0",
        "requirements.quality.txt",
        "dkist-task",
        "0.1.0",
    ]
    assert json.loads(command("list", "--dags-folder", dags, "--json").stdout)["versions"][0]["damage"] is None


def test_graph_is_printed_or_written(install: Install, command: Command, tmp_path: Path) -> None:
    """A graph goes to the terminal, or to a file."""
    name = install(instrument(**{"workflows.other": WORKFLOW.replace('"main"', '"other"')}))
    done = command("graph", f"{name}.workflows")
    assert done.stdout.startswith(f"{name}_main dev\n└─ Parse\n")
    assert f"\n\n{name}_other dev\n" in done.stdout
    output = tmp_path / "graph.mmd"
    done = command("graph", f"{name}.workflows:{name}_other", "--format", "mermaid", "--output", output)
    assert done.stdout == ""
    assert output.read_text().startswith(f'flowchart TD\nsubgraph workflow1["{name}_other dev"]\n')
    done = command("graph", f"{name}.workflows:{name}_other", "--format", "svg")
    assert done.stdout.startswith("<svg ")
    done = command("graph", f"{name}.workflows", "--format", "svg")
    assert done.returncode == 2
    assert f"name it as {name}.workflows:WORKFLOW, one of {name}_main, {name}_other" in " ".join(done.stderr.split())


def test_colours_are_for_terminals(command: Command, tmp_path: Path) -> None:
    """An error is red on a terminal and plain elsewhere."""
    assert "\x1b" not in command("archive", tmp_path / "nowhere").stderr
    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-m", "dkist_build_utils", "archive", str(tmp_path / "nowhere")]
    subprocess.run(arguments, stderr=theirs, stdout=theirs, check=False)
    os.close(theirs)
    said = os.read(ours, 10_000)
    os.close(ours)
    assert b"\x1b[31merror: " in said


def test_timeline_of_nothing_is_an_error(command: Command, tmp_path: Path) -> None:
    """A folder without spans is an error of one line, and nothing is written."""
    done = command("timeline", tmp_path, "--output", tmp_path / "run.html")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run.html").exists()


def test_run_of_a_folder_without_a_manifest(command: Command, tmp_path: Path) -> None:
    """A folder that is no release is called so, with the release that is in it."""
    (tmp_path / "out" / "vbi_1.0").mkdir(parents=True)
    (tmp_path / "out" / "vbi_1.0" / "manifest.json").write_text("{}")
    done = command("run", tmp_path / "out", "--recipe-run-id", "1")
    assert done.returncode == 1
    assert f"error: the folder '{tmp_path}/out' is not a release folder (manifest.json is not in it)" in done.stderr
    assert f"name a release folder, such as '{tmp_path}/out/vbi_1.0'" in done.stderr


@pytest.mark.parametrize("file", ["vbi_1.0/manifest.json", "pools.json"])
def test_run_of_a_folder_where_modules_are_looked_for(tmp_path: Path, file: str) -> None:
    """A folder that Python would import, since the working folder is searched, is called no release folder too."""
    (tmp_path / "out" / file).parent.mkdir(parents=True)
    (tmp_path / "out" / file).write_text("{}")
    (tmp_path / "out" / file).with_name("vbi_dev.py").write_text("import nothing_of_that_name")
    run = [sys.executable, "-m", "dkist_build_utils", "run", "out", "--recipe-run-id", "1"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: the folder 'out' is not a release folder (manifest.json is not in it)" in done.stderr


@pytest.mark.parametrize("name", ["./nowhere", "my-instrument_1.2.0"])
def test_run_of_neither_package_nor_release(command: Command, name: str) -> None:
    """What can be neither is called so in one line."""
    done = command("run", name, "--recipe-run-id", "1")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: '{name}' is neither the dotted name of a package nor a release folder")


def test_damage_is_told_with_the_version(command: Command, tmp_path: Path) -> None:
    """Where several versions are damaged, each line names the version that has the fault."""
    for name in ("first_1.0.0", "second_1.0.0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("[]")
    done = command("list", "--dags-folder", tmp_path)
    places = [line.partition(": ")[0] for line in done.stderr.splitlines()]
    assert places == ["first_1.0.0", "second_1.0.0"]
