"""A data centre's deployment on one machine: PostgreSQL, RabbitMQ, Airflow and Celery workers."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.airflow import PrivateAirflow
from harness.airflow_environment import CONSTRAINTS, airflow_environment
from harness.cache import prune_environments
from harness.process_tree import is_alive
from harness.rabbitmq import PrivateRabbitMQ

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

POSTGRESQL = "postgresql://postgres@127.0.0.1:5432"
DATABASE_PREFIX = "dkist_distributed_"
"""A process id follows."""

WORKER_REQUIREMENTS = ("apache-airflow-providers-celery", "asyncpg", "psycopg2-binary")
CELERY = {
    # Acknowledge a message when its task starts. By default that happens when the task ends: too late for the broker if
    # the task takes longer than `consumer_timeout`. Airflow finds a task lost with its worker by its missing heartbeat.
    "AIRFLOW__CELERY__TASK_ACKS_LATE": "False",
    # The broker also closes the channel when messages wait in a busy worker. By default that ends the worker.
    "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG": '{"broker_channel_error_retry": true}',
}
"""The settings that docs/how-to/celery.md recommends."""

CONCURRENCY = 2
"""How many tasks a worker runs at a time."""

CONSUMER_TIMEOUT_SECONDS = 10
"""How long the broker waits for the acknowledgement of a message. RabbitMQ's default is half an hour."""

HEARTBEAT_TIMEOUT_SECONDS = 30
"""How long a task may send no heartbeat before Airflow fails it: on a busy machine some are late. Airflow's default is
five minutes.
"""

_WORKER = ("celery", "worker", "--concurrency", str(CONCURRENCY), "--skip-serve-logs", "--without-mingle")

_DISTRIBUTIONS = "import importlib.metadata as m; print(*{d.metadata['Name'] for d in m.distributions()})"
_SQL = """
import sys, psycopg2
connection = psycopg2.connect(sys.argv[1])
connection.autocommit = True
cursor = connection.cursor()
cursor.execute(sys.argv[2])
for row in cursor.fetchall() if cursor.description else ():
    print(row[0])
"""


@dataclass(frozen=True)
class Worker:
    """A Celery worker."""

    name: str
    """Unique."""
    queue: str
    """The queue that it takes tasks from."""
    store: Path
    """Its own environment store."""


class CelerySite:
    """The running deployment that `celery_site` makes."""

    def __init__(
        self, airflow: PrivateAirflow, broker: PrivateRabbitMQ, workers: Sequence[Worker], airflow_host: Path
    ) -> None:
        self.airflow = airflow
        """Scheduler, dag-processor and API server."""
        self.broker = broker
        """Celery's broker, and the message bus."""
        self.workers = tuple(workers)
        """The workers."""
        self._airflow_host = airflow_host

    def start_worker(self, worker: Worker) -> None:
        """Start a worker, or start it again after it was killed."""
        self.airflow.start_component(
            worker.name,
            [*_WORKER, "--queues", worker.queue, "--celery-hostname", f"{worker.name}@%h"],
            env={"DKIST_ENVIRONMENT_STORE": str(worker.store)},
        )

    def worker_distributions(self) -> set[str]:
        """Return the names of the distributions that are installed in the workers' environment."""
        return set(run([str(self.airflow.python), "-c", _DISTRIBUTIONS]).split())

    def deploy(self, archive: Path) -> str:
        """Run ``dkist-build deploy`` on the Airflow host and return what it printed."""
        command = [str(self._airflow_host.parent / "dkist-build"), "deploy", str(archive)]
        return run([*command, "--dags-folder", str(self.airflow.dags)], env=self.airflow.env)


@contextmanager
def celery_site(
    folder: Path, wheels: Path, queues: Mapping[str, str], *, stores: Path, env: Mapping[str, str]
) -> Iterator[CelerySite]:
    """Run a site for the duration of the context.

    Workers, scheduler and API server have Airflow, its Celery provider, a database driver and ``uv``, and nothing of
    ours. The dag-processor also has ``dkist-airflow-node``. Everything has stopped when the context ends.

    Parameters
    ----------
    folder : Path
        Home of Airflow and of the broker; made here.
    wheels : Path
        Folder of the project's wheels.
    queues : Mapping[str, str]
        Queue of each worker by its name.
    stores : Path
        Folder of the workers' environment stores.
    env : Mapping[str, str]
        Variables to add to the environment of every component.

    Raises
    ------
    RuntimeError
        A service is missing or a component does not start. The message says how to fix it.
    """
    bare = airflow_environment(WORKER_REQUIREMENTS)
    airflow_host = environment_above(folder / "airflow-host", bare, wheels)
    workers = [Worker(name, queue, stores / name) for name, queue in queues.items()]
    for worker in workers:
        prune_environments(worker.store)
    with ExitStack() as stack:
        broker = stack.enter_context(PrivateRabbitMQ(folder / "rabbitmq"))
        # A channel reads both when it is opened: how late a consumer may be, and how often the broker checks that.
        for name, seconds in (("consumer_timeout", CONSUMER_TIMEOUT_SECONDS), ("channel_tick_interval", 2)):
            broker.control("eval", f"application:set_env(rabbit, {name}, {seconds * 1000}).")
        database = stack.enter_context(private_database(bare))
        address = f"{POSTGRESQL.replace('://', '+psycopg2://')}/{database}"
        airflow = PrivateAirflow(
            folder / "airflow",
            python=bare,
            dag_processor_python=airflow_host,
            database=address,
            executor="CeleryExecutor",
            env={
                "AIRFLOW__CELERY__BROKER_URL": f"amqp://guest:guest@127.0.0.1:{broker.port}//",
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{address}",
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT_SECONDS),
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
                **CELERY,
                **broker.settings,
                **env,
            },
        )
        stack.callback(airflow.stop)
        airflow.start()
        site = CelerySite(airflow, broker, workers, airflow_host)
        for worker in site.workers:
            site.start_worker(worker)
        airflow.wait_until_healthy()
        yield site


def ask_database(python: Path, database: str, statement: str) -> list[str]:
    """Run a statement in a private database and return the first column, one text for each row.

    Parameters
    ----------
    python : Path
        Interpreter of an environment with psycopg2.
    database : str
        The name that `private_database` gave.
    statement : str
        SQL.
    """
    return run([str(python), "-c", _SQL, f"{POSTGRESQL}/{database}", statement]).splitlines()


@contextmanager
def private_database(python: Path) -> Iterator[str]:
    """Create an empty PostgreSQL database, give its name, and drop it at the end."""
    name = f"{DATABASE_PREFIX}{os.getpid()}"
    try:
        present = run([str(python), "-c", _SQL, POSTGRESQL, "SELECT datname FROM pg_database"]).split()
    except RuntimeError as error:
        raise RuntimeError(
            "PostgreSQL does not accept user postgres on 127.0.0.1:5432; start it as CONTRIBUTING.md describes.\n"
            f"{error}"
        ) from error
    for left in present:  # by a run that was killed
        if left.startswith(DATABASE_PREFIX) and not is_alive(int(left.removeprefix(DATABASE_PREFIX))):
            run([str(python), "-c", _SQL, POSTGRESQL, f"DROP DATABASE {left} WITH (FORCE)"])
    run([str(python), "-c", _SQL, POSTGRESQL, f"CREATE DATABASE {name}"])
    try:
        yield name
    finally:
        run([str(python), "-c", _SQL, POSTGRESQL, f"DROP DATABASE {name} WITH (FORCE)"])


def environment_above(folder: Path, base: Path, wheels: Path) -> Path:
    """Make an environment that has the project's distributions on top of another environment.

    Parameters
    ----------
    folder : Path
        Folder of the new environment.
    base : Path
        Interpreter of the other environment.
    wheels : Path
        Folder of the project's wheels.

    Returns
    -------
    Path
        The interpreter.
    """
    python = folder / "bin" / "python"
    run(["uv", "venv", "--quiet", "--python", str(base), str(folder)])
    (here,), (below,) = (each.parents[1].glob("lib/python3.*/site-packages") for each in (python, base))
    (here / "below.pth").write_text(f"{below}\n")
    install = ["uv", "pip", "install", "--quiet", "--python", str(python), "--find-links", str(wheels)]
    run([*install, "--constraint", str(CONSTRAINTS / "airflow-3.3.txt"), "dkist-build-utils"])
    return python


def run(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = 300
) -> str:
    """Run a command and return its standard output.

    Raises
    ------
    RuntimeError
        The command failed. The message has its output.
    """
    environ = None if env is None else dict(env)
    done = subprocess.run(command, env=environ, cwd=cwd, timeout=timeout, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:300]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def released(package: str, version: str, wheels: Path, folder: Path, *, python_path: Path | None = None) -> Path:
    """Export and archive a package as a build pipeline does, and return the archive.

    Parameters
    ----------
    package : str
        Dotted name of the package that holds the workflows.
    version : str
        The version to release.
    wheels : Path
        Folder of its wheel, and of the wheels of the project.
    folder : Path
        Where the release folder goes.
    python_path : Path, optional
        Folder of the package if it is not installed.
    """
    env = {**os.environ, **({} if python_path is None else {"PYTHONPATH": str(python_path)})}
    build = [sys.executable, "-m", "dkist_build_utils"]
    export = ["export", package, "--version", version, "--find-links", str(wheels), "--output", str(folder)]
    release = run([*build, *export, "--upgrade-locks"], env=env).strip()
    return Path(run([*build, "archive", release], env=env).strip())
