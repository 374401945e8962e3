"""Ask a real Airflow: a program for a process of its own, so that nothing of ours imports Airflow.

``python -P airflow_program.py load FOLDER ANSWER`` loads every DAG file of a folder. The answer is a JSON object: from
the name of each file that Airflow refuses to the last line of Airflow's error.

``python -P airflow_program.py pools REQUEST ANSWER`` reads a JSON object: ``dags``, a dags folder, ``pools`` in the
form of ``airflow pools import``, and ``creates``. If Airflow reads that folder, the pools that it does not have are
created, or only named where ``creates`` is false; none is changed. The answer is a JSON object: ``site``, and
``missing``, the names of these pools.

``python -P airflow_program.py runs REQUEST ANSWER`` reads a JSON object with ``dag_ids``. The answer is a JSON object:
``site``, and ``runs``, the queued and running runs of these DAGs: ``[DAG id, run id, state]``.

``site`` says which Airflow was asked: ``home``, ``database`` without its password, ``dags_folders``, and ``fault``,
null or why it cannot be asked. An Airflow that was never set up is left as it is: no file of it is created.

The program writes ANSWER at its end. If something fails, the exit status is not 0 and the last line of standard error
says why.
"""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any


def load_errors(folder: Path) -> dict[str, str]:
    """Return Airflow's error for each file of a folder that has one."""
    try:
        dagbag = importlib.import_module("airflow.dag_processing.dagbag")
    except ModuleNotFoundError:  # before Airflow 3.2
        dagbag = importlib.import_module("airflow.models.dagbag")
    bag = dagbag.DagBag(dag_folder=str(folder))
    errors = {Path(path).name: str(text).strip().rpartition("\n")[2] for path, text in bag.import_errors.items()}
    loaded = {Path(dag.fileloc).name for dag in bag.dags.values()}
    for file in sorted(folder.glob("*.py")):
        if file.name not in loaded:
            errors.setdefault(file.name, "Airflow finds no DAG in it")
    return errors


def missing_pools(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Create, or only name, the pools that Airflow does not have."""
    site = site_of_this_machine(folder)
    missing: list[str] = []
    if site["fault"] is None and reads(site["dags_folders"], request["dags"]):
        from airflow.models.pool import Pool
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            existing = set(session.scalars(select(Pool.pool)))
            missing = [name for name in request["pools"] if name not in existing]
            if request["creates"]:
                session.add_all([Pool(pool=name, **request["pools"][name]) for name in missing])
    return {"site": site, "missing": missing}


def active_runs(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the queued and running runs of some DAGs."""
    site = site_of_this_machine(folder)
    runs: list[tuple[str, str, str]] = []
    if site["fault"] is None:
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session
        from sqlalchemy import select

        columns = (DagRun.dag_id, DagRun.run_id, DagRun.state)
        query = select(*columns).where(DagRun.dag_id.in_(request["dag_ids"]), DagRun.state.in_(("queued", "running")))
        with create_session() as session:
            found = session.execute(query.order_by(*columns))
            runs = [(dag_id, run_id, str(state)) for dag_id, run_id, state in found]
    return {"site": site, "runs": runs}


def site_of_this_machine(folder: Path) -> dict[str, Any]:
    """Return which Airflow this environment names, and what keeps it from being asked; create no file of it."""
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    config = Path(os.environ.get("AIRFLOW_CONFIG") or home / "airflow.cfg").expanduser()
    if not config.exists():
        os.environ["AIRFLOW_CONFIG"] = os.devnull  # an import of Airflow would write the file
    os.environ |= {"AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder)}  # and would make this one in its home
    from airflow.configuration import conf
    from sqlalchemy.engine import make_url

    address = make_url(conf.get("database", "sql_alchemy_conn"))
    bundles: Any = conf.getjson("dag_processor", "dag_bundle_config_list") or []
    folders = [
        str((bundle.get("kwargs") or {}).get("path") or conf.get("core", "dags_folder"))
        for bundle in bundles
        if str(bundle.get("classpath")).endswith(".LocalDagBundle")
    ]
    database = address.set(query={}, password=None).render_as_string()
    return {"home": str(home), "database": database, "dags_folders": folders, "fault": database_fault(address)}


def database_fault(address: Any) -> str | None:
    """Return why Airflow's database cannot be asked; None if it can."""
    if address.get_backend_name() == "sqlite":
        return sqlite_fault(Path(address.database or ""))
    from airflow.utils.session import create_session
    from sqlalchemy import inspect
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with create_session() as session:
            is_set_up = inspect(session.connection()).has_table("slot_pool")
    except SQLAlchemyError as error:
        words = str(getattr(error, "orig", None) or error).strip().splitlines()
        return f"cannot be asked: {words[0] if words else type(error).__name__}"
    return None if is_set_up else "was never set up: its database holds no tables"


def sqlite_fault(path: Path) -> str | None:
    """Return why a file is not Airflow's database; Airflow's own connection would create or change the file."""
    if not path.is_file():
        return "was never set up: its database is not there"
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'slot_pool'"
    try:
        # Not "ro", which would leave the files of the write-ahead log behind.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            (tables,) = connection.execute(query).fetchone()
    except sqlite3.Error as error:
        return f"cannot be asked: {error}"
    return None if tables else "was never set up: its database holds no tables"


def reads(dags_folders: list[str], folder: str) -> bool:
    """Return whether a folder is one of the dags folders, or in one."""
    return any(Path(folder).is_relative_to(Path(each).expanduser().resolve()) for each in dags_folders)


if __name__ == "__main__":
    question, argument, answer = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if question == "load":
        found: Any = load_errors(argument)
    else:
        ask = {"pools": missing_pools, "runs": active_runs}[question]
        found = ask(json.loads(argument.read_text(encoding="utf-8")), answer.parent)
    answer.write_text(json.dumps(found), encoding="utf-8")
