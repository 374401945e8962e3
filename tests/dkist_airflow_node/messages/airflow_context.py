"""What Airflow passes to failure callbacks, as seen on 3.3.2, cut down to what a callback may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

RUN_AFTER = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@dataclass
class Instance:
    """A task instance."""

    task_id: str = "Calibrate"
    dag_id: str = "vbi_l0_1.0.0"
    run_id: str = "r1"
    map_index: int = -1
    try_number: int | None = 1
    max_tries: int = 0
    states: dict[str, Any] = field(default_factory=dict)

    @property
    def log_url(self) -> str:
        """As Airflow spells it."""
        return f"http://airflow/dags/{self.dag_id}/runs/{self.run_id}/tasks/{self.task_id}?try_number={self.try_number}"

    def get_task_states(self, *, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, Any]]:
        """Answer as the supervisor would."""
        assert dag_id == self.dag_id
        return dict.fromkeys(run_ids, self.states)


def task_context(instance: Instance | None = None, *, clear_number: int = 0, **more: Any) -> dict[str, Any]:
    """Return the context of a task's callback on a worker."""
    instance = instance or Instance()
    return {
        "ti": instance,
        "run_id": instance.run_id,
        "dag": SimpleNamespace(dag_id=instance.dag_id, task_ids=["Parse", "Calibrate", "Write", "m"]),
        "dag_run": SimpleNamespace(run_id=instance.run_id, run_after=RUN_AFTER, clear_number=clear_number, conf={}),
        "params": {"recipe_run_id": 7},
        "exception": ValueError("no flats"),
        **more,
    }


def dag_context(instance: Instance | None = None, **more: Any) -> dict[str, Any]:
    """Return the context of the DAG's callback in the dag-processor."""
    context = task_context(instance, reason="task_failure", **more)
    del context["exception"]
    return context
