"""The deployment that ``hatch run faults`` mistreats: Airflow on PostgreSQL, a broker, and a small disk of messages."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.airflow import PrivateAirflow
from harness.airflow_environment import airflow_environment
from harness.celery_site import (
    POSTGRESQL,
    WORKER_REQUIREMENTS,
    ask_database,
    environment_above,
    private_database,
    released,
    run,
)
from harness.fault_package import JOURNAL_VARIABLE, PLAN_VARIABLE, fault_package
from harness.packages import OWN_PROJECTS, build_wheels
from harness.process_tree import is_alive, kill, tree
from harness.rabbitmq import PrivateRabbitMQ

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILURE_QUEUE = "recipe.run.failure.q"
DISK = "dkist-faults-"
"""Name of the mounted file system; a process id follows."""

DISK_SIZE = "4m"
_COMPONENTS = {"kill-dag-processor": "dag-processor", "kill-scheduler": "scheduler", "kill-api-server": "api-server"}

_ROWS = """
SELECT row_to_json(each)::text FROM (
  SELECT r.dag_id, r.run_id, r.state AS run_state, r.end_date AS run_end, t.task_id, t.state, t.try_number,
         t.end_date AS "end"
  FROM dag_run r JOIN task_instance t ON t.dag_id = r.dag_id AND t.run_id = r.run_id {where}
) each
"""

_AUDITED = """
SELECT row_to_json(each)::text FROM (
  SELECT DISTINCT dag_id, run_id, task_id, try_number FROM log WHERE event = 'failed' AND task_id IS NOT NULL
) each
"""


class FaultSite:
    """The running deployment that `fault_site` makes."""

    def __init__(self, airflow: PrivateAirflow, broker: PrivateRabbitMQ, database: str, folder: Path) -> None:
        self.airflow, self.broker, self.folder = airflow, broker, folder
        self.spool = folder / "spool"
        """The small disk."""
        self.journal = folder / "journal.jsonl"
        """Where attempts say what they will meet."""
        self.plans = folder / "plans"
        """The fates of each recipe run."""
        self._database = database

    def rows(self, run_ids: list[str] | None = None) -> list[dict[str, Any]]:
        """Return every task of some runs, or of all, with the state of its run, from Airflow's database."""
        ids = ", ".join(f"'{each}'" for each in run_ids or ())
        where = "" if run_ids is None else f"WHERE r.run_id IN ({ids})" if run_ids else "WHERE false"
        return [json.loads(row) for row in ask_database(self.airflow.python, self._database, _ROWS.format(where=where))]

    def failures_in_audit_log(self) -> list[dict[str, Any]]:
        """Return the attempts of which Airflow's audit log says that they have failed: not all are there."""
        return [json.loads(row) for row in ask_database(self.airflow.python, self._database, _AUDITED)]

    def command(self, *arguments: str) -> str:
        """Run ``dkist-airflow-node`` as the operators of the site do, and return what it printed."""
        program = [str(self.airflow.python), "-m", "dkist_airflow_node", *arguments]
        return run(program, env={**self.airflow.env, "DKIST_AIRFLOW_URL": self.airflow.url}, timeout=300)

    def begin(self, kind: str) -> None:
        """Begin what happens to a component or a disk.

        Raises
        ------
        TimeoutError
            The disk cannot be made read-only, since somebody always writes.
        """
        if kind in _COMPONENTS:
            pid = self.airflow.component(_COMPONENTS[kind]).pid
            # Its children too: they hold its connection to the database open, and so its transaction and its locks.
            kill([each for each in tree(pid) if each.session == pid])
        elif kind == "kill-broker":
            kill(tree(self.broker.pid))
        elif kind == "stop-broker":
            self.broker.stop()
        elif kind == "block-broker":
            self.broker.alarm()
        elif kind == "fill-spool":
            self._fill()
        elif kind == "lock-spool":
            self._remount("ro")
        elif kind == "lose-spool":
            self._lose()

    def end(self, kind: str) -> None:
        """End it again. What is left of a killed component is stopped before it starts again, as systemd does."""
        if kind in _COMPONENTS:
            self.airflow.start_again(_COMPONENTS[kind])
        elif kind in {"kill-broker", "stop-broker"}:
            self.broker.stop()
            self.broker.start()
        elif kind == "block-broker":
            self.broker.relieve()
        elif kind == "fill-spool":
            (self.spool / "filler").unlink(missing_ok=True)
        elif kind == "lock-spool":
            self._remount("rw")

    def _fill(self) -> None:
        with suppress(OSError), (self.spool / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    def _lose(self) -> None:
        for path in self.spool.rglob("*"):
            with suppress(OSError):  # it was sent in the meantime, or is a folder
                path.unlink()

    def _remount(self, how: str) -> None:
        for _ in range(100):  # it is refused while a message is being written
            command = ["mount", "-o", f"remount,bind,{how}", str(self.spool)]
            if not subprocess.run(command, check=False, capture_output=True).returncode:
                return
            time.sleep(0.05)
        raise TimeoutError(f"{self.spool} cannot be mounted {how}")


@contextmanager
def fault_site(folder: Path) -> Iterator[FaultSite]:
    """Run the site for the duration of the context. Everything has stopped when the context ends.

    Raises
    ------
    RuntimeError
        A service is missing, or this user may not mount. The message says how to fix it.
    """
    wheels = folder / "wheels"
    build_wheels(wheels, OWN_PROJECTS)
    archive = _release(folder, wheels)
    bare = airflow_environment(WORKER_REQUIREMENTS)
    python = environment_above(folder / "python", bare, wheels)
    with ExitStack() as stack:
        stack.enter_context(_small_disk(folder / "spool"))
        broker = stack.enter_context(PrivateRabbitMQ(folder / "rabbitmq"))
        database = stack.enter_context(private_database(bare))
        (folder / "plans").mkdir()
        airflow = PrivateAirflow(
            folder / "airflow",
            python=python,
            database=f"{POSTGRESQL.replace('://', '+psycopg2://')}/{database}",
            env={
                "AIRFLOW__CORE__PARALLELISM": "12",
                "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
                "AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG": "64",
                # Heartbeats that wait for a row take the connections of the API server, and then no request goes on.
                "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": "20",
                "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
                "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
                "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
                "DKIST_ENVIRONMENT_STORE": str(folder / "store"),
                "DKIST_MESSAGE_SPOOL": str(folder / "spool"),
                "UV_FIND_LINKS": str(wheels),
                PLAN_VARIABLE: str(folder / "plans"),
                JOURNAL_VARIABLE: str(folder / "journal.jsonl"),
                **broker.settings,
            },
        )
        stack.enter_context(airflow)
        run(
            [str(python.parent / "dkist-build"), "deploy", str(archive), "--dags-folder", str(airflow.dags)],
            env=airflow.env,
        )
        for name in ("many", "few"):
            airflow.wait_for_dag(f"fault_{name}_1.0.0")
        yield FaultSite(airflow, broker, database, folder)


def _release(folder: Path, wheels: Path) -> Path:
    unpacked = folder / "package"
    wheel = fault_package().write_wheel(wheels)
    run(["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(unpacked), str(wheel)])
    package = "dkist_processing_fault.workflows"
    return released(package, "1.0.0", wheels, folder / "releases", python_path=unpacked)


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """Mount a file system of a few megabytes, and unmount those of runs that were killed."""
    for line in Path("/proc/mounts").read_text().splitlines():
        source, place, *_ = line.split()
        if source.startswith(DISK) and not is_alive(int(source.removeprefix(DISK))):
            subprocess.run(["umount", "--lazy", place], check=False)
    folder.mkdir(mode=0o700)
    options = f"size={DISK_SIZE},mode=700"
    try:
        run(["mount", "-t", "tmpfs", "-o", options, f"{DISK}{os.getpid()}", str(folder)])
    except RuntimeError as error:
        raise RuntimeError(f"The run needs root, to mount a disk that it can fill.\n{error}") from error
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)
