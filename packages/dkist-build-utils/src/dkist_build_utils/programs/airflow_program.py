"""Ask a real Airflow: a program for a process of its own, so that nothing of ours imports Airflow.

``python -P airflow_program.py load FOLDER ANSWER`` loads every DAG file of a folder. The answer is a JSON object: from
the name of each file that Airflow refuses to the last line of Airflow's error.

``python -P airflow_program.py pools POOLS ANSWER`` creates the pools that Airflow does not have, from a file in the
form of ``airflow pools import``, and changes none. The answer is the list of the names created.

``python -P airflow_program.py runs DAG_IDS ANSWER`` reads a JSON list of DAG ids. The answer is the list of their
queued and running runs: ``[DAG id, run id, state]``.

The program writes ANSWER at its end. If something fails, the exit status is not 0 and the last line of standard error
says why.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path


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


def create_missing_pools(file: Path) -> list[str]:
    """Create the pools that Airflow does not have and return their names."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from sqlalchemy import select

    created = []
    with create_session() as session:
        existing = set(session.scalars(select(Pool.pool)))
        for name, pool in json.loads(file.read_text(encoding="utf-8")).items():
            if name not in existing:
                session.add(Pool(pool=name, **pool))
                created.append(name)
    return created


def active_runs(file: Path) -> list[tuple[str, str, str]]:
    """Return the queued and running runs of some DAGs."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    dag_ids = json.loads(file.read_text(encoding="utf-8"))
    columns = (DagRun.dag_id, DagRun.run_id, DagRun.state)
    query = select(*columns).where(DagRun.dag_id.in_(dag_ids), DagRun.state.in_(("queued", "running")))
    with create_session() as session:
        return [(dag_id, run_id, str(state)) for dag_id, run_id, state in session.execute(query.order_by(*columns))]


if __name__ == "__main__":
    question, argument, answer = sys.argv[1:]
    functions = {"load": load_errors, "pools": create_missing_pools, "runs": active_runs}
    Path(answer).write_text(json.dumps(functions[question](Path(argument))), encoding="utf-8")
