"""Migrate real client packages, test them, and run them beside their predecessor: ``hatch run clients``.

The releases of `harness.client_packages` come from the index. Needs Python 3.13, Redis and RabbitMQ's programs. Where
Python 3.13 or the index is missing, that is said, and fails in CI only. Everything that the run makes is in
``.demo/clients/``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from harness import side_by_side
from harness.airflow import PrivateAirflow
from harness.cache import prune_environments
from harness.celery_site import run
from harness.client_packages import (
    CLIENTS,
    COMMON,
    LEFT_OUT_REQUIREMENTS,
    PYTHON,
    TEST,
    VBI,
    ClientPackage,
    IndexMissingError,
    build_wheel,
    clean_environment,
    developer_environment,
    environment,
    fetch,
    migrate,
)
from harness.demo import new_run
from harness.distributed import FAILURE_QUEUE, Account
from harness.gateway import INPUT_DATASET, Gateway
from harness.gateway import SERVICE as GATEWAY
from harness.interpreter import InterpreterMissingError, find_interpreter
from harness.packages import OWN_PROJECTS, ROOT, build_wheels
from harness.private_redis import SERVICE as SCRATCH_INVENTORY
from harness.private_redis import PrivateRedis
from harness.process import GuardedProcess
from harness.rabbitmq import PrivateRabbitMQ

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RECIPE_RUN = 7
TEST_SECONDS = 900
RUN_SECONDS = 600
CONSUMER = ROOT / "examples" / "failure-alerts" / "failure_alerts.py"
MANUAL = f"input_to_output_test_manual-with-provenance_{TEST.migrated_version}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything and return 0 if every check holds."""
    parser = argparse.ArgumentParser(prog="hatch run clients", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--no-tests", action="store_true", help="leave out the packages' own tests: most of the time")
    options = parser.parse_args(arguments)
    account = Account()
    try:
        find_interpreter(PYTHON)
        for package in CLIENTS:
            fetch(package)
    except (InterpreterMissingError, IndexMissingError) as error:
        is_ci = os.environ.get("CI") == "true"
        print(f"{'FAILED' if is_ci else 'SKIPPED'}: {error}")
        return int(is_ci)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with new_run(ROOT / ".demo" / "clients") as made:
        try:
            Trial(made.folder, account).show(has_tests=not options.no_tests)
        except (RuntimeError, TimeoutError, subprocess.TimeoutExpired) as error:
            account.failed.append("the clients run")
            account.say(f"✗ {error}")
        print(f"\nLogs: {made.folder}")
    print(f"{len(account.failed)} checks failed" if account.failed else "Every check holds.")
    return 1 if account.failed else 0


class Trial:
    """The parts of the run, in their order. Each begins where the one before it has ended."""

    def __init__(self, folder: Path, account: Account) -> None:
        self.folder, self.account = folder, account
        self.wheels = folder / "wheels"
        self.releases = folder / "releases"
        self.sources: dict[str, Path] = {}
        self.python = folder / "developer" / "bin" / "python"
        self._pair = folder / "pair"

    def show(self, *, has_tests: bool) -> None:
        """Run all parts."""
        self.migrate()
        self.install()
        with Gateway() as gateway, PrivateRedis(self.folder / "redis") as redis:
            mesh = {SCRATCH_INVENTORY: redis.port, GATEWAY: gateway.port}
            for package in (TEST, VBI) if has_tests else ():
                self.test(package, mesh)
            for package in (TEST, VBI):
                self.release(package)
            self.run_in_airflow(gateway, mesh)

    def migrate(self) -> None:
        """Migrate each package and build its wheel."""
        self.account.say(f"Migrating {', '.join(f'{each.name} {each.version}' for each in CLIENTS)}")
        build_wheels(self.wheels, OWN_PROJECTS)
        for package in CLIENTS:
            source, decisions = migrate(package, self.folder / "sources")
            self.account.check(f"{package.name}: nothing is left for a person to decide", decisions, [])
            for path, reason in package.left_out_files.items():
                self.account.say(f"  left out: {path}: {reason}")
            build_wheel(package, source, self.wheels)
            self.sources[package.name] = source

    def install(self) -> None:
        """Make a developer's environment."""
        self.account.say("Making a developer's environment, as the guide says")
        for name, reason in LEFT_OUT_REQUIREMENTS.items():
            self.account.say(f"  left out: {name}: {reason}")
        sources = [(package, self.sources[package.name]) for package in (TEST, VBI)]
        developer_environment(self.folder / "developer", sources, self.wheels)

    def test(self, package: ClientPackage, mesh: Mapping[str, int]) -> None:
        """Run the package's own tests."""
        self.account.say(f"Running the tests of {package.name}")
        for name, reason in package.left_out_tests.items():
            self.account.say(f"  left out: {name}: {reason}")
        left_out = [option for name in package.left_out_tests for option in ("--deselect", name)]
        pytest = [str(self.python), "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "-m", "not development"]
        env = clean_environment({"MESH_CONFIG": mesh_config(mesh)})
        said = run([*pytest, *left_out], env=env, cwd=self.sources[package.name], timeout=TEST_SECONDS)
        self.account.say(f"✓ {package.name}: {said.strip().splitlines()[-1].strip('= ')}")

    def release(self, package: ClientPackage) -> None:
        """Validate and export the package."""
        workflows = f"{package.import_name}.workflows"
        export = ["--version", package.migrated_version, "--output", str(self.releases)]
        for verb, options in (("validate", []), ("export", export)):
            start = time.monotonic()
            self._build([verb, workflows, *options])
            self.account.say(f"✓ {package.name}: {verb} in {time.monotonic() - start:.0f} s")

    def run_in_airflow(self, gateway: Gateway, mesh: Mapping[str, int]) -> None:
        """Run a workflow of a client, and a pair of workflows of the predecessor and of ours, in one Airflow."""
        self.account.say("Installing the predecessor, its Airflow and dkist-airflow-node into one environment")
        python = environment(self.folder / "airflow-host", [side_by_side.CORE, "dkist-airflow-node", "uv"], self.wheels)
        dags = self.folder / "dags"
        dags.mkdir()
        self.account.say(
            f"Exporting {side_by_side.DISTRIBUTION} with the predecessor and, migrated, with ours; deploying"
        )
        self._export_pair(python, dags)
        self._deploy(TEST.name, TEST.migrated_version, dags)
        stores = self.folder.parents[1] / "store"
        prune_environments(stores)
        with ExitStack() as stack:
            broker = stack.enter_context(PrivateRabbitMQ(self.folder / "rabbitmq"))
            chat = stack.enter_context(side_by_side.Chat())
            airflow = stack.enter_context(
                PrivateAirflow(
                    self.folder / "airflow",
                    dags=dags,
                    python=python,
                    env={
                        "DKIST_ENVIRONMENT_STORE": str(stores),
                        "DKIST_MESSAGE_SPOOL": str(self.folder / "spool"),
                        "DKIST_MESSAGE_DEADLINE_SECONDS": "30",
                        # uv passes over the Python of an environment, and a shim of pyenv's that is not selected fails.
                        "PATH": os.pathsep.join(
                            [str(python.parent), str(find_interpreter(PYTHON).parent), os.environ["PATH"]]
                        ),
                        "MESH_CONFIG": mesh_config({**mesh, "interservice-bus": broker.port}),
                        # The predecessor's script upgrades the pip of the first python3 on PATH: not on this machine.
                        "PIP_REQUIRE_VIRTUALENV": "1",
                        # Below 2, and with a socket as standard input, bash reads ~/.bashrc, which may change PATH.
                        "SHLVL": "2",
                        "PIP_FIND_LINKS": f"{self.wheels} {os.environ.get('PIP_FIND_LINKS', '')}".strip(),
                        "SCRATCH_BASE_PATH": str(self.folder / "scratch"),
                        "UV_FIND_LINKS": str(self.wheels),
                    },
                )
            )
            self.account.say(f"Airflow is healthy: {airflow.url}")
            airflow.create_pools({"high_memory_pool": {"slots": 2, "description": "", "include_deferred": False}})
            runs = self._trigger(airflow)
            self._check_provenance(airflow, gateway, runs[MANUAL])
            self._check_pair(airflow, runs)
            with self._consumer(broker, chat):
                self._check_alerts(chat)
            self.account.check("Airflow could read every DAG file", airflow.import_errors(), {})

    def _export_pair(self, python: Path, dags: Path) -> None:
        source = side_by_side.client_source(self._pair)
        side_by_side.build_wheel(source, self.wheels)
        side_by_side.export_old(source, python, dags, clean_environment())
        side_by_side.migrate(source)
        wheel = side_by_side.build_wheel(source, self.wheels)
        run(["uv", "pip", "install", "--quiet", "--no-deps", "--python", str(self.python), str(wheel)])
        export = ["export", "dkist_processing_pair.workflows", "--version", side_by_side.NEW]
        self._build([*export, "--output", str(self.releases)])
        self._deploy(side_by_side.DISTRIBUTION, side_by_side.NEW, dags)

    def _deploy(self, name: str, version: str, dags: Path) -> None:
        archive = self._build(["archive", str(self.releases / f"{name}_{version}")]).strip()
        self._build(["deploy", archive, "--dags-folder", str(dags), "--no-airflow"])

    def _build(self, arguments: list[str]) -> str:
        env = clean_environment({"UV_FIND_LINKS": str(self.wheels)})
        return run([str(self.python), "-m", "dkist_build_utils", *arguments], env=env, timeout=600)

    def _trigger(self, airflow: PrivateAirflow) -> dict[str, str]:
        runs = {}
        pair = [f"{side_by_side.WORKFLOW}_{version}" for version in (side_by_side.OLD, side_by_side.NEW)]
        for dag_id in (MANUAL, *pair):
            airflow.wait_for_dag(dag_id, timeout=120)
            airflow.request("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})  # the predecessor's begin paused
            runs[dag_id] = airflow.trigger(dag_id, RECIPE_RUN)
        self.account.say(f"Triggered {', '.join(runs)}")
        return runs

    def _check_provenance(self, airflow: PrivateAirflow, gateway: Gateway, run_id: str) -> None:
        state = airflow.wait_for_run(MANUAL, run_id, timeout=RUN_SECONDS)
        self.account.check(f"{MANUAL}: the run succeeds", state, "success")
        if state != "success":
            self.account.say(airflow.logs(MANUAL, run_id)[-3000:])
        self.account.check("the gateway has one record of provenance", len(gateway.written), 1)
        record = "".join(gateway.written)
        for member in (
            f"inputDatasetId: {INPUT_DATASET}",
            "isTaskManual: true",
            f"recipeRunId: {RECIPE_RUN}",
            'taskName: "ManualWithProvenance"',
            f'workflowVersion: "{TEST.migrated_version}"',
            rf"\"{COMMON.name}\": \"{COMMON.migrated_version}\"",
        ):
            self.account.confirm(f"it says {member}", holds=member in record)

    def _check_pair(self, airflow: PrivateAirflow, runs: Mapping[str, str]) -> None:
        for version in (side_by_side.OLD, side_by_side.NEW):
            dag_id = f"{side_by_side.WORKFLOW}_{version}"
            state = airflow.wait_for_run(dag_id, runs[dag_id], timeout=RUN_SECONDS)
            tasks = airflow.tasks(dag_id, runs[dag_id])
            self.account.check(
                f"{dag_id}: Reduce succeeds in the pool of its queue, Fail fails",
                (state, {name: (task.state, task.queue, task.pool) for name, task in tasks.items()}),
                (
                    "failed",
                    {
                        "Reduce": ("success", "high_memory", "high_memory_pool"),
                        "Fail": ("failed", "default", "default_pool"),
                    },
                ),
            )

    def _check_alerts(self, chat: side_by_side.Chat) -> None:
        deadline = time.monotonic() + 60
        while len(chat.posted) < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
        time.sleep(3)  # a third alert must not come
        heads = sorted(text.splitlines()[0] for text in chat.posted)
        self.account.check(
            "the consumer posts one alert for the failure of each",
            heads,
            [
                f"FAILED: task Fail of recipe run {RECIPE_RUN}, {side_by_side.WORKFLOW} {side_by_side.NEW}",
                f"FAILED: task Fail, {side_by_side.WORKFLOW} {side_by_side.OLD}",
            ],
        )
        self.account.confirm("ours says why", holds=any("ValueError: no flats" in text for text in chat.posted))

    def _consumer(self, broker: PrivateRabbitMQ, chat: side_by_side.Chat) -> GuardedProcess:
        deadline = time.monotonic() + 60
        while FAILURE_QUEUE not in broker.control("list_queues", "--no-table-headers", "name"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the broker has no queue {FAILURE_QUEUE} 60 s after the runs failed")
            time.sleep(1)
        return GuardedProcess(
            "consumer",
            [sys.executable, str(CONSUMER)],
            log=self.folder / "consumer.log",
            env={
                **os.environ,
                "BROKER_URL": f"amqp://guest:guest@127.0.0.1:{broker.port}/%2F",
                "CHAT_URL": chat.url,
                "HOLD_SECONDS": "5",
                "SEEN": str(self.folder / "seen.db"),
            },
            cwd=self.folder,
        )


def mesh_config(ports: Mapping[str, int]) -> str:
    """Return the value of ``MESH_CONFIG`` for services on this machine."""
    return json.dumps({name: {"mesh_address": "127.0.0.1", "mesh_port": port} for name, port in ports.items()})


if __name__ == "__main__":
    sys.exit(main())
