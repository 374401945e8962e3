"""Fixtures for the tests of an instrument package.

Put ``pytest_plugins = ["dkist_build_utils.testing"]`` into the top ``conftest.py``. Nothing else imports this module:
this distribution does not require pytest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dkist_build_utils import local_run
from dkist_task.outcome import outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from dkist_build_utils.local_run import RunSummary
    from dkist_task import TaskBase
    from dkist_workflow import Workflow


@dataclass(frozen=True)
class TaskRun:
    """What a run of a task in the process of the test came to."""

    task: TaskBase
    """The task, after its ``__exit__``."""
    result: str
    """``success``, ``failure`` and so on, as the span of the run has it."""
    error: BaseException | None
    """What it raised; None after a success."""
    spans: tuple[ReadableSpan, ...]
    """In the order of their ends: the run itself is the last."""
    metrics: Mapping[str, float]
    """The value of each metric by name: the sum of a counter, the sum of what a histogram took."""

    @property
    def span_names(self) -> list[str]:
        """The names of the spans, in the order of their beginnings."""
        return [span.name for span in sorted(self.spans, key=lambda span: span.start_time or 0)]

    def span(self, name: str) -> ReadableSpan:
        """Return the first span of a name; LookupError if there is none."""
        for span in self.spans:
            if span.name == name:
                return span
        raise LookupError(f"the task made no span {name!r}; it made {', '.join(self.span_names) or 'none'}")


class Telemetry:
    """Keeps the spans and metrics of this process in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        delta: dict[type, AggregationTemporality] = dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA)
        self._reader = InMemoryMetricReader(preferred_temporality=delta)
        # A process can set its providers once; those that the package has set are used.
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
        provider = trace.get_tracer_provider()
        if isinstance(provider, TracerProvider):
            provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        if not isinstance(metrics.get_meter_provider(), MeterProvider):
            metrics.set_meter_provider(MeterProvider([self._reader], shutdown_on_exit=False))

    def clear(self) -> None:
        """Forget everything so far."""
        self._exporter.clear()
        self.take_metrics()

    def take_spans(self) -> tuple[ReadableSpan, ...]:
        """Return the spans since the last call."""
        spans = self._exporter.get_finished_spans()
        self._exporter.clear()
        return spans

    def take_metrics(self) -> dict[str, float]:
        """Return the metrics since the last call."""
        data = self._reader.get_metrics_data()
        values: dict[str, float] = {}
        for resource in data.resource_metrics if data is not None else ():
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                for point in metric.data.data_points:
                    value = getattr(point, "value", None)
                    values[metric.name] = values.get(metric.name, 0) + (
                        getattr(point, "sum", 0) if value is None else value
                    )
        return values


@pytest.fixture(scope="session")
def task_telemetry() -> Telemetry:
    """Keep the spans and metrics of this process in memory."""
    return Telemetry()


@pytest.fixture
def make_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TaskBase]:
    """Return a function that makes a task of a class; the working folder of the test is its temporary one."""
    monkeypatch.chdir(tmp_path)

    def make(
        task_class: type[TaskBase],
        recipe_run_id: int = 1,
        *,
        workflow_name: str = "test",
        workflow_version: str = "dev",
        parameters: Mapping[str, object] | None = None,
    ) -> TaskBase:
        given: dict[str, Any] = {} if parameters is None else {"parameters": parameters}
        return task_class(recipe_run_id, workflow_name, workflow_version, **given)

    return make


@pytest.fixture
def run_task(make_task: Callable[..., TaskBase], task_telemetry: Telemetry) -> Callable[..., TaskRun]:
    """Return a function that runs a task, or a class with what `make_task` takes, in the process of the test."""

    def run(task: TaskBase | type[TaskBase], *arguments: Any, **settings: Any) -> TaskRun:
        made = make_task(task, *arguments, **settings) if isinstance(task, type) else task
        task_telemetry.clear()
        error: BaseException | None = None
        try:
            with made:
                made()
        except (Exception, SystemExit) as raised:
            error = raised
        result = outcome_of(error).result
        return TaskRun(made, result, error, task_telemetry.take_spans(), task_telemetry.take_metrics())

    return run


@pytest.fixture
def run_workflow(tmp_path: Path) -> Callable[..., RunSummary]:
    """Return a function that runs a workflow, each task in a process of its own, with the options of `run_workflow`."""

    def run(workflow: Workflow, recipe_run_id: int = 1, **options: Any) -> RunSummary:
        return local_run.run_workflow(workflow, recipe_run_id, **{"folder": tmp_path / "run", **options})

    return run
