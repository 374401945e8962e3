"""The README is true: who follows it has an instrument package that runs in Airflow."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dkist_build_utils import named_workflows, svg
from harness.airflow import LEAKING, free_port
from harness.process import GuardedProcess
from harness.rest import AirflowApi, AirflowRefusalError

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DAG = "my_instrument_l0_to_l1_0.1.0"
COMMANDS_SECONDS = 1200
RUN_SECONDS = 600
STANDALONE_SECONDS = 600  # a minute where nothing else runs
SEEN_SECONDS = 120


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with what the README's commands use of a clone."""
    for name in ("packages", "constraints"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".ruff_cache"))
    return tmp_path


def blocks(text: str) -> list[str]:
    """Return the commands of each block of a shell."""
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands_of_a_reader() -> list[str]:
    """Return every line of commands below the two that CI runs, in their order."""
    text = README.partition("\n## Your own workflow in five minutes\n")[2]
    assert blocks(README) == [*blocks(README)[:2], *blocks(text)], "demo, test, and what follows"
    assert README.count("<!-- .ci/run runs this: ") == 2
    return "".join(blocks(text)).splitlines()


def environment_of_a_shell() -> dict[str, str]:
    """Return the environment less what hatch, pytest and coverage have set, as a new shell has it."""
    programs = Path(sys.prefix) / "bin"
    path = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if Path(each) != programs)
    ours = (*LEAKING, "UV_", "BUILD_VERSION")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {"PATH": path}


@pytest.mark.service
@pytest.mark.timeout(COMMANDS_SECONDS + STANDALONE_SECONDS + RUN_SECONDS + 2 * SEEN_SECONDS)
def test_commands_of_the_readme_bring_an_own_workflow_into_airflow(clone: Path) -> None:
    """Run each command in its order in one shell, log in as the text says, trigger the DAG: nothing else is needed."""
    *commands, last = commands_of_a_reader()
    assert last == "airflow standalone"
    script = "\n".join([*commands, f"env -0 >{clone}/environment"])
    shell = environment_of_a_shell() | {"DKIST_ENVIRONMENT_STORE": str(clone / "store")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=clone,
        env=shell,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMANDS_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    package = clone / "my-instrument"
    for path in ("data/7/quicklook/spectrum.png", ".dkist-run/my_instrument_l0_to_l1-7/timeline.html"):
        assert f"`{path}`" in README
        assert (package / path).exists()

    # Other tests have an Airflow too: only the ports differ from what the README says.
    api = AirflowApi(f"http://localhost:{free_port()}")
    ports = {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": api.url.rpartition(":")[2],
        "AIRFLOW__API__BASE_URL": api.url,
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
    }
    exported = (clone / "environment").read_text().split("\0")
    environment = dict(line.split("=", 1) for line in exported if line) | ports
    assert environment["AIRFLOW_HOME"] == str(package / "airflow")
    log = clone / "standalone.log"
    standalone = shutil.which("airflow", path=environment["PATH"])
    assert standalone is not None
    with GuardedProcess("standalone", [standalone, "standalone"], log=log, env=environment, cwd=package) as airflow:
        wait_until_healthy(api, airflow)
        passwords = "airflow/simple_auth_manager_passwords.json.generated"
        assert f"`{passwords}`" in README
        api.log_in("admin", json.loads((package / passwords).read_text())["admin"])
        api.wait_for_dag(DAG)
        assert api.dag_ids() == {DAG}, "no example DAGs"
        run = api.trigger(DAG, recipe_run_id=42)
        assert api.wait_for_run(DAG, run, timeout=RUN_SECONDS) == "success", airflow.tail()
        assert (package / "data" / "42" / "quicklook" / "spectrum.png").exists()
        # The setting of the README has Airflow see a new file soon.
        (package / "airflow" / "dags" / "seen.py").write_text('from airflow.sdk import DAG\n\ndag = DAG("seen")\n')
        api.wait_for_dag("seen", timeout=SEEN_SECONDS)


def wait_until_healthy(api: AirflowApi, airflow: GuardedProcess) -> None:
    """Wait until scheduler and dag-processor are healthy."""
    deadline = time.monotonic() + STANDALONE_SECONDS
    while time.monotonic() < deadline:
        assert airflow.status is None, airflow.tail()
        try:
            # The first request to the API of tasks takes seconds, in which the server answers nothing else.
            api.request("GET", "/execution/health")
            health = api.health()
        except (OSError, AirflowRefusalError):  # not listening yet, or not ready
            health = {}
        if all(health.get(name, {}).get("status") == "healthy" for name in ("scheduler", "dag_processor")):
            return
        time.sleep(1)
    pytest.fail(f"Airflow is not healthy after {STANDALONE_SECONDS} s:\n{airflow.tail()}")


def test_the_picture_of_the_graph_is_the_one_that_is_drawn_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """README shows what ``dkist-build graph`` makes of the example."""
    monkeypatch.delenv("BUILD_VERSION", raising=False)
    (workflow,) = named_workflows("dkist_processing_example.workflows", None)
    assert (ROOT / "docs" / "images" / "example-graph.svg").read_text("utf-8") == f"{svg(workflow)}\n"


def test_every_link_leads_somewhere() -> None:
    """A document that is linked to is there."""
    documents = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("packages/*/README.md"),
        *ROOT.glob("docs/**/*.md"),
    ]
    missing = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
        if not (document.parent / target).exists()
    ]
    assert missing == []
