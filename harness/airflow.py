"""A real, private Airflow on this machine, for the demo, the tests and the distributed run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.cache import cache_folder
from harness.process import GuardedProcess
from harness.rest import AirflowApi, AirflowRefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

START_SECONDS = 240  # twenty where nothing else runs
MIGRATE_SECONDS = 180
POLL_SECONDS = 0.1

# Linux takes the ports of outgoing connections from a higher range, so none of them takes ours before it is used.
PORTS = range(20_000, 30_000)
# Tests give `random` a seed: two runs on one machine would then choose the same ports at the same moment.
_CHOICE = random.SystemRandom()

# Variables of the shell, of hatch, pytest and coverage that must not reach Airflow and its tasks.
LEAKING = ("AIRFLOW_", "COVERAGE_", "DKIST_", "HATCH_", "OTEL_", "PYTEST_", "PYTHON", "UV_CONSTRAINT", "VIRTUAL_ENV")

SETTINGS = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    # How often, in seconds, a task's supervisor sends a heartbeat: it notices that late that the task must stop.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__API__WORKERS": "1",
}
"""Settings that make a private Airflow quiet. It quickly notices a new DAG file, a finished task and a killed one."""


class AirflowStartError(RuntimeError):
    """Airflow did not start. The message has the end of the failing component's log."""


class PrivateAirflow(AirflowApi):
    """Scheduler, dag-processor and API server of one Airflow, with a folder of their own.

    Use it as a context manager: Airflow is healthy inside. Afterwards nothing is left running, even if this process is
    interrupted or killed.

    Parameters
    ----------
    home : Path
        ``AIRFLOW_HOME``; created if missing. ``home/components`` has the logs of components, ``home/logs`` of tasks.
    dags : Path, optional
        The dags folder; None for ``home/dags``.
    python : Path, optional
        Interpreter of the environment that has Airflow.
    dag_processor_python : Path, optional
        Interpreter of another environment for the dag-processor; None for the same.
    database : str, optional
        SQLAlchemy address of an empty or migrated database; None for SQLite in `home`.
    executor : str, optional
        Airflow's executor.
    env : Mapping[str, str], optional
        Variables to add to the environment of every component, and so to tasks under the LocalExecutor. A name that
        starts with ``AIRFLOW__`` overrides a setting made here.

    Examples
    --------
    ::

        with PrivateAirflow(tmp_path / "airflow", env={"DKIST_ENVIRONMENT_STORE": str(store)}) as airflow:
            workflow.export(airflow.dags)
            airflow.wait_for_dag(workflow.dag_id)
            run_id = airflow.trigger(workflow.dag_id, recipe_run_id=1)
            assert airflow.wait_for_run(workflow.dag_id, run_id) == "success", airflow.logs(workflow.dag_id, run_id)
    """

    def __init__(
        self,
        home: Path,
        *,
        dags: Path | None = None,
        python: Path = Path(sys.executable),
        dag_processor_python: Path | None = None,
        database: str | None = None,
        executor: str = "LocalExecutor",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        """Port of the API server on 127.0.0.1."""
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.home = home.absolute()
        self.dags = (dags or self.home / "dags").absolute()
        """The dags folder."""
        self.python = python
        self._dag_processor_python = dag_processor_python
        self._is_sqlite = database is None
        secret = hashlib.sha256(os.urandom(32)).hexdigest()
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(LEAKING)},
            "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            **SETTINGS,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__EXECUTOR": executor,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database or f"sqlite:///{self.home / 'airflow.db'}",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secret,
            "AIRFLOW__API_AUTH__JWT_SECRET": secret,
            **(env or {}),
        }
        """The environment of every component."""
        self._components: dict[str, GuardedProcess] = {}
        self._starts: dict[str, Callable[[], GuardedProcess]] = {}

    def __enter__(self) -> Self:
        """Start Airflow and wait until it is healthy."""
        with ExitStack() as on_failure:
            on_failure.callback(self.stop)
            self.start()
            self.wait_until_healthy()
            on_failure.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop Airflow."""
        self.stop()

    def start(self) -> None:
        """Start without waiting. The caller must call `stop`, whatever happens in between."""
        self._prepare()
        self.start_component("scheduler", ["scheduler", "--skip-serve-logs"])
        self.start_component("dag-processor", ["dag-processor"], python=self._dag_processor_python)
        self.start_component(
            "api-server",
            ["api-server", "--host", "127.0.0.1", "--port", str(self.port)],
            grace_seconds=1,  # it has no state that a longer grace would save
        )

    def wait_until_healthy(self) -> None:
        """Wait until every component reports that it is healthy.

        Raises
        ------
        AirflowStartError
            A component ended, or is not healthy in time.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            for component in self._components.values():
                if component.status is not None:
                    raise AirflowStartError(
                        f"Airflow's {component.name} ended with status {component.status}; "
                        f"its log ends:\n{component.tail()}"
                    )
            try:
                # The first request to the API of tasks takes four seconds: better here than in the first task.
                self.request("GET", "/execution/health")
                health = self.health()
            except (OSError, AirflowRefusalError):  # not listening yet, or not ready
                health = {}
            waiting = [
                name
                for name, key in (("scheduler", "scheduler"), ("dag-processor", "dag_processor"))
                if health.get(key, {}).get("status") != "healthy"
            ]
            if not waiting:
                return
            if time.monotonic() > deadline:
                failing = self._components[waiting[0] if health else "api-server"]
                raise AirflowStartError(
                    f"Airflow's {failing.name} is not healthy after {START_SECONDS} s; its log ends:\n{failing.tail()}"
                )
            time.sleep(POLL_SECONDS)

    def start_component(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        python: Path | None = None,
        env: Mapping[str, str] | None = None,
        grace_seconds: float = 10,
    ) -> GuardedProcess:
        """Start an ``airflow`` command that lives as long as this Airflow, such as a Celery worker.

        Parameters
        ----------
        name : str
            Its log is ``home/components/<name>.log``. An older component of this name is stopped first.
        arguments : Sequence[str]
            Arguments of ``airflow``.
        python : Path, optional
            Interpreter of another environment that has Airflow; None for this Airflow's.
        env : Mapping[str, str], optional
            Variables to add to the environment.
        grace_seconds : float, optional
            How long the component and its tasks have to end when this Airflow stops.
        """
        python = python or self.python
        self._starts[name] = partial(
            GuardedProcess,
            name,
            [str(python), "-m", "airflow", *arguments],
            log=self.home / "components" / f"{name}.log",
            env={**self.env, "PATH": f"{python.parent}{os.pathsep}{self.env['PATH']}", **(env or {})},
            cwd=self.home,
            grace_seconds=grace_seconds,
        )
        return self.start_again(name)

    def start_again(self, name: str) -> GuardedProcess:
        """Start a component as it was started before, after stopping what is left of it if it was killed."""
        if name in self._components:
            self._components.pop(name).stop()
        self._components[name] = component = self._starts[name]()
        return component

    def component(self, name: str) -> GuardedProcess:
        """Return a started component: ``scheduler``, ``dag-processor``, ``api-server``, or one of the caller's."""
        return self._components[name]

    def command(self, *arguments: str, timeout: float = 120) -> str:
        """Run an ``airflow`` command in this Airflow and return its standard output.

        Raises
        ------
        RuntimeError
            The command failed. The message has its output.
        """
        return _airflow(self.python, arguments, env=self.env, cwd=self.home, timeout=timeout)

    def logs(self, dag_id: str, run_id: str) -> str:
        """Return the logs of every failed task of a run, for the message of an assertion."""
        failed = (task for task in self.tasks(dag_id, run_id).values() if task.state in {"failed", "up_for_retry"})
        return "\n".join(
            f"{task.name} (attempt {task.try_number}):\n{self.task_log(dag_id, run_id, task.name, task.try_number)}"
            for task in failed
        )

    def stop(self) -> None:
        """Stop all components in parallel. None of their descendants is left when this returns."""
        components = list(self._components.values())
        self._components.clear()
        for component in components:
            component.ask_to_stop()
        with ExitStack() as each:
            for component in components:
                each.callback(component.stop)

    def _prepare(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.dags.mkdir(parents=True, exist_ok=True)
        if not self._is_sqlite:
            self.command("db", "migrate", timeout=MIGRATE_SECONDS)
        elif not (self.home / "airflow.db").exists():
            shutil.copyfile(migrated_database(self.python), self.home / "airflow.db")


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    while True:
        port = _CHOICE.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def migrated_database(python: Path = Path(sys.executable)) -> Path:
    """Return an empty, migrated SQLite database for the Airflow of an environment.

    It is made once per version and machine: a copy takes milliseconds, ``airflow db migrate`` five seconds.
    """
    query = "from importlib.metadata import version; print(version('apache-airflow-core'))"
    version = subprocess.run([python, "-c", query], check=True, capture_output=True, text=True).stdout.strip()
    database = cache_folder("databases") / f"airflow-{version}.db"
    with database.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            with tempfile.TemporaryDirectory(dir=database.parent) as home:
                made = Path(home) / "airflow.db"
                env = {name: value for name, value in os.environ.items() if not name.startswith(LEAKING)}
                env |= SETTINGS | {"AIRFLOW_HOME": home, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{made}"}
                _airflow(python, ["db", "migrate"], env=env, cwd=Path(home), timeout=MIGRATE_SECONDS)
                made.rename(database)
    return database


def _airflow(python: Path, arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float) -> str:
    done = subprocess.run(
        [python, "-m", "airflow", *arguments],
        env=env,
        cwd=cwd,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"airflow {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
