"""What a callback asks Airflow, of every version, with stand-ins for Airflow's modules."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dkist_airflow_node.messages import airflow_run
from tests.dkist_airflow_node.messages.airflow_context import Instance


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: Any) -> None:
    """Put a module of Airflow's where this process finds it."""
    module = ModuleType(name)
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, name, module)


def test_states_of_a_run() -> None:
    """The task instance of the context asks."""
    instance = Instance(states={"Parse": "failed"})
    assert airflow_run.task_states(instance, dag_id=instance.dag_id, run_id="r1") == {"Parse": "failed"}


@pytest.mark.parametrize(("dag_id", "run_id"), [(None, "r1"), ("vbi_l0_1.0.0", None)])
def test_an_unknown_run_has_no_states(dag_id: str | None, run_id: str | None) -> None:
    """Nothing is asked about a run whose ids are missing."""
    assert airflow_run.task_states(Instance(states={"Parse": "failed"}), dag_id=dag_id, run_id=run_id) == {}


def test_a_question_that_the_dag_processor_does_not_know_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dag-processor of Airflow 3.0 would log it and never answer."""
    stand_in(monkeypatch, "airflow.dag_processing.processor", ToManager="Union[GetConnection, GetVariable]")
    assert airflow_run.task_states(Instance(states={"Parse": "failed"}), dag_id="vbi_l0_1.0.0", run_id="r1") == {}


def test_clear_number_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow 3.2 and later return the run as it is now."""
    run = SimpleNamespace(clear_number=3)
    stand_in(monkeypatch, "airflow.sdk.execution_time.comms", GetDagRun=SimpleNamespace)
    stand_in(
        monkeypatch,
        "airflow.sdk.execution_time.task_runner",
        SUPERVISOR_COMMS=SimpleNamespace(send=lambda question: run if question.run_id == "r1" else None),
    )
    assert airflow_run.clear_number(dag_id="d", run_id="r1") == 3
    assert airflow_run.clear_number(dag_id="d", run_id="other") is None  # the answer is not a run
    assert airflow_run.names_the_failed_task()


def test_clear_number_before_3_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no such question, and the DAG's callback may name any task."""
    stand_in(monkeypatch, "airflow.sdk.execution_time.comms")
    assert airflow_run.clear_number(dag_id="d", run_id="r1") is None
    assert not airflow_run.names_the_failed_task()
