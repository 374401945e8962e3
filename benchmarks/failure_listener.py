"""What the failure listener costs the loop of Airflow's scheduler, for runs of a few and of many tasks.

The objects are SQLAlchemy's, loaded as the scheduler has loaded its own when a run ends. Time is that of the processor:
a busy machine may stop any program anywhere.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import JSON, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.measure import Comparison, report
from dkist_airflow_node.messages import hear_failed_run

PROMISED_SECONDS = 0.001
RUNS = 100
TASKS = (4, 200)
OTHERS = 1000
"""Tasks of other runs in the same session."""


class _Base(DeclarativeBase):
    """Of the tables."""


class DagRun(_Base):
    """The columns of Airflow's table that are read."""

    __tablename__ = "dag_run"
    __allow_unmapped__ = True
    dag: Any = None
    run_id: Mapped[str] = mapped_column(primary_key=True)
    dag_id: Mapped[str]
    conf: Mapped[Any] = mapped_column(JSON)
    clear_number: Mapped[int]
    run_after: Mapped[datetime]


class TaskInstance(_Base):
    """The columns of Airflow's table that are read."""

    __tablename__ = "task_instance"
    task_id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(primary_key=True)
    dag_id: Mapped[str]
    map_index: Mapped[int]
    state: Mapped[str]
    try_number: Mapped[int]
    max_tries: Mapped[int]
    start_date: Mapped[datetime]
    end_date: Mapped[datetime]


def compare() -> list[Comparison]:
    """Take the time of a failed run."""
    with tempfile.TemporaryDirectory() as spool:
        os.environ["DKIST_MESSAGE_SPOOL"] = spool
        rows = [
            Comparison(
                name=f"a failed run of {count} tasks, in the scheduler's loop",
                ours=_seconds(count),
                reference=PROMISED_SECONDS,
                against="the promise",
                limit=1.0,
                note=f"time of the processor, median of {RUNS}; {OTHERS} tasks of other runs are loaded",
            )
            for count in TASKS
        ]
        while len(list(Path(spool).glob("*.json"))) < RUNS * len(TASKS):  # before the folder goes
            time.sleep(0.1)
        return rows


def _seconds(count: int) -> float:
    engine = create_engine("sqlite://")
    _Base.metadata.create_all(engine)
    now = datetime.now(UTC)
    names = [f"Task{number}" for number in range(count)]
    dag = SimpleNamespace(
        tags={"vbi", "l0", "vbi_l0", "1.0.0"},
        task_dict={name: SimpleNamespace(owner="DKIST Data Center", retries=0) for name in names},
    )
    taken = []
    with Session(engine, expire_on_commit=False) as session:
        others = [_task(f"Other{number}", "others", "success", now) for number in range(OTHERS)]
        session.add_all(others)
        session.flush()
        for number in range(RUNS):
            run = DagRun(run_id=f"r{number}", dag_id="vbi_l0_1.0.0", clear_number=0, run_after=now)
            run.conf, run.dag = {"recipe_run_id": 7}, dag
            tasks = [_task(name, run.run_id, "upstream_failed", now) for name in names]
            tasks[0].state = "failed"
            session.add_all([run, *tasks])
            session.flush()
            begin = time.thread_time()
            hear_failed_run(run, "task_failure")
            taken.append(time.thread_time() - begin)
            del tasks
    engine.dispose()
    return statistics.median(taken)


def _task(task_id: str, run_id: str, state: str, now: datetime) -> TaskInstance:
    columns: dict[str, Any] = {"map_index": -1, "try_number": 1, "max_tries": 0, "start_date": now, "end_date": now}
    return TaskInstance(task_id=task_id, run_id=run_id, dag_id="vbi_l0_1.0.0", state=state, **columns)


if __name__ == "__main__":
    report(compare)
