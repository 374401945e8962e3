"""What is read of Airflow's database objects: real SQLAlchemy objects of tables like Airflow's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import JSON, ForeignKey, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, configure_mappers, mapped_column, relationship

from dkist_airflow_node.messages import airflow_row
from dkist_airflow_node.messages.airflow_row import MARKED, failure_of_task, failures_of_run, is_row
from dkist_airflow_node.messages.exported_dag import OWNER, ExportedWorkflow
from dkist_airflow_node.messages.failed_task import named_task
from tests.dkist_airflow_node.messages.airflow_context import RUN_AFTER, Instance, dag_context

START = datetime(2026, 1, 2, 3, 4, 10, tzinfo=UTC)
TAGS = ("vbi", "l0", "vbi_l0", "1.0.0")
DAG = SimpleNamespace(
    dag_id="vbi_l0_1.0.0",
    tags=set(TAGS),
    task_dict={name: SimpleNamespace(owner=OWNER, retries=0) for name in ("Calibrate", "Write")},
)


class Base(DeclarativeBase):
    """Of the tables."""


class DagTag(Base):
    """A tag of a DAG."""

    __tablename__ = "dag_tag"
    name: Mapped[str] = mapped_column(primary_key=True)
    dag_id: Mapped[str] = mapped_column(ForeignKey("dag.dag_id"))


class DagModel(Base):
    """A DAG."""

    __tablename__ = "dag"
    dag_id: Mapped[str] = mapped_column(primary_key=True)
    owners: Mapped[str]
    tags: Mapped[list[DagTag]] = relationship()


class DagRun(Base):
    """A run."""

    __tablename__ = "dag_run"
    __allow_unmapped__ = True
    dag: Any = None
    run_id: Mapped[str] = mapped_column(primary_key=True)
    dag_id: Mapped[str] = mapped_column(ForeignKey("dag.dag_id"))
    conf: Mapped[Any] = mapped_column(JSON)
    clear_number: Mapped[int]
    run_after: Mapped[datetime]
    dag_model: Mapped[DagModel] = relationship()


class TaskInstance(Base):
    """A task of a run."""

    __tablename__ = "task_instance"
    task_id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("dag_run.run_id"), primary_key=True)
    dag_id: Mapped[str]
    map_index: Mapped[int]
    state: Mapped[str | None]
    try_number: Mapped[int]
    max_tries: Mapped[int]
    start_date: Mapped[datetime | None]
    end_date: Mapped[datetime | None]
    dag_run: Mapped[DagRun] = relationship()


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Return a session of a database with one run, whose task has failed in its second attempt."""
    configure_mappers()  # Airflow's are configured too, and want the modules that are replaced below
    module = ModuleType("airflow.models.taskinstance")
    module.TaskInstance = TaskInstance  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(airflow_row, "_base_url", lambda: "http://airflow/")
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(DagModel(dag_id=DAG.dag_id, owners=OWNER, tags=[DagTag(name=name) for name in TAGS]))
        session.flush()
        session.add(
            DagRun(run_id="r1", dag_id=DAG.dag_id, conf={"recipe_run_id": 7}, clear_number=1, run_after=RUN_AFTER)
        )
        session.flush()
        session.add_all(
            [
                instance("Calibrate", "failed", try_number=2, start_date=START, end_date=START + timedelta(seconds=9)),
                instance("Write", "upstream_failed"),
            ]
        )
        session.commit()
        yield session
    engine.dispose()


def instance(task_id: str, state: str, **more: Any) -> TaskInstance:
    """Return a task instance of the run."""
    columns = {"try_number": 0, "max_tries": 1, "map_index": -1, "run_id": "r1", "dag_id": DAG.dag_id}
    return TaskInstance(task_id=task_id, state=state, **columns | more)


def loaded(session: Session) -> tuple[DagRun, list[TaskInstance]]:
    """Return run and tasks as the scheduler holds them: all loaded, with the DAG."""
    run = session.query(DagRun).one()
    tasks = session.query(TaskInstance).order_by(TaskInstance.task_id).all()
    run.run_after = RUN_AFTER  # SQLite forgets the time zone, Airflow's column does not
    run.dag = DAG
    session.flush()
    for each in (run, *tasks):
        assert vars(each)["_sa_instance_state"].unloaded <= {"dag_model", "dag_run"}
    return run, tasks


def refuse_queries(session: Session) -> None:
    """Let every statement fail from now on."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the database was asked")

    event.listen(session.get_bind(), "before_cursor_execute", refuse)


def test_in_the_scheduler_nothing_is_asked(session: Session) -> None:
    """A run's failed tasks are among the objects that the scheduler has; the key is that of the callbacks."""
    run, tasks = loaded(session)
    refuse_queries(session)
    found = failures_of_run(run, "task_failure")
    assert found is not None
    assert found.workflow == ExportedWorkflow("vbi_l0", "1.0.0")
    (task,) = found.tasks
    assert (task.task_id, task.try_number, task.max_tries, task.duration_seconds) == ("Calibrate", 2, 2, 9.0)
    assert (task.recipe_run_id, task.reason, task.source) == (7, "task_failure", "listener")
    assert task.log_url == "http://airflow/dags/vbi_l0_1.0.0/runs/r1/tasks/Calibrate?try_number=2"
    assert task.idempotency_key == named_task(dag_context(Instance(), clear_number=1)).idempotency_key
    assert len(tasks) == 2


def test_in_the_api_server_the_request_is_asked(session: Session) -> None:
    """There nothing is loaded, and what the request has not committed is seen; its changes are not flushed."""
    session.query(TaskInstance).filter_by(task_id="Write").update({"state": "failed"})
    run = session.query(DagRun).one()
    session.expunge_all()
    session.add(run)
    session.add(instance("New", "failed"))
    found = failures_of_run(run, "")
    assert found is not None
    assert sorted(str(task.task_id) for task in found.tasks) == ["Calibrate", "Write"]
    assert {task.reason for task in found.tasks} == {MARKED}
    assert session.new
    assert {task.log_url for task in found.tasks if task.task_id == "Write"} == {
        "http://airflow/dags/vbi_l0_1.0.0/runs/r1/tasks/Write"
    }


def test_a_run_without_a_failed_task(session: Session) -> None:
    """A run that has timed out reports what was running, which Airflow records as skipped; else it reports itself."""
    run, (calibrate, write) = loaded(session)
    calibrate.state, calibrate.end_date = "skipped", None
    found = failures_of_run(run, "")
    assert found is not None
    assert [(task.task_id, task.reason) for task in found.tasks] == [("Calibrate", "timed_out")]
    calibrate.state, calibrate.end_date, write.state = "success", START, "success"
    found = failures_of_run(run, "DagRun's state was manually set to `failed`.")
    assert found is not None
    assert [(task.task_id, task.reason) for task in found.tasks] == [(None, MARKED)]


def test_a_task_that_may_run_again_has_not_failed(session: Session) -> None:
    """Airflow calls the same hook for a task that is up for retry."""
    run, (calibrate, _) = loaded(session)
    calibrate.dag_run = run
    found = failure_of_task(calibrate, "TaskInstance's state was manually set to `failed`.")
    assert found is not None
    assert [(task.task_id, task.reason) for task in found.tasks] == [("Calibrate", MARKED)]
    for state in ("up_for_retry", "success", None, "removed"):
        calibrate.state = state
        assert failure_of_task(calibrate, "x") is None


def test_before_3_2_a_cleared_task_has_the_workers_key(session: Session) -> None:
    """There the run's number does not grow while the run goes on: the attempts before the clearing count."""
    run, (calibrate, _) = loaded(session)
    calibrate.dag_run, run.clear_number = run, 0
    found = failure_of_task(calibrate, "x")
    assert found is not None
    assert found.tasks[0].clear_number == -1


@pytest.mark.parametrize("is_loaded", [True, False])
def test_a_foreign_dag(session: Session, *, is_loaded: bool) -> None:
    """Its owner is another; without our parameter the database is not even asked."""
    run, (calibrate, _) = loaded(session)
    calibrate.dag_run = run
    if is_loaded:
        run.dag = SimpleNamespace(tags=DAG.tags, task_dict={"Calibrate": SimpleNamespace(owner="somebody")})
    else:
        run.dag = None
        run.dag_model.owners = "somebody"
    assert failures_of_run(run, "task_failure") is None
    assert failure_of_task(calibrate, "x") is None
    run.dag, run.conf = None, {}
    session.flush()
    refuse_queries(session)
    assert failures_of_run(run, "task_failure") is None


def test_a_tasks_own_process_has_no_rows(session: Session) -> None:
    """The objects of a worker are none of the database."""
    run, _ = loaded(session)
    assert is_row(run)
    assert not is_row(Instance())
