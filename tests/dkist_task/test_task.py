"""A task that is run without the launcher: in a script, a notebook or a test."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from dkist_task import RequestError, TaskBase


class Count(TaskBase):
    """A task that has a span of its own in every place."""

    def run(self) -> None:
        """Count."""
        with self.telemetry_span("count"):
            pass

    def __exit__(self, *_: object) -> None:
        with self.telemetry_span("teardown"):
            pass


class Skip(Count):
    """A task that decides for itself what its call does."""

    def __call__(self) -> None:
        """Skip the work."""


class Incomplete(TaskBase):
    """A task without a run."""


@pytest.fixture(scope="module")
def process_exporter() -> InMemorySpanExporter:
    """Set a provider, as an application does: once for the process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def exporter(process_exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    """Return the application's exporter, empty."""
    process_exporter.clear()
    return process_exporter


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """Return the spans that ended, by name."""
    return {span.name: span for span in exporter.get_finished_spans()}


def parent_of(span: ReadableSpan) -> int | None:
    """Return the id of a span's parent."""
    return span.parent.span_id if span.parent else None


def id_of(span: ReadableSpan) -> int:
    """Return the id of a span."""
    assert span.context is not None
    number: int = span.context.span_id
    return number


def test_a_task_sends_spans_to_an_applications_provider(exporter: InMemorySpanExporter) -> None:
    """Called as in the documentation, a task has its root span, its stages and its teardown in one trace."""
    with Count(recipe_run_id=1, workflow_name="w", workflow_version="1.0.0") as task:
        task()
    found = by_name(exporter)
    assert list(found) == ["pre_run", "count", "run", "post_run", "Count", "teardown"]
    assert parent_of(found["run"]) == id_of(found["Count"])
    assert len({span.context.trace_id for span in found.values() if span.context}) == 1


def test_an_applications_span_is_the_tasks_parent(exporter: InMemorySpanExporter) -> None:
    """Under a span that is current, the task hangs there."""
    with (
        trace.get_tracer("application").start_as_current_span("application"),
        Count(recipe_run_id=1, workflow_name="w", workflow_version="1.0.0") as task,
    ):
        task()
    found = by_name(exporter)
    assert parent_of(found["Count"]) == id_of(found["application"])


def test_an_overridden_call_has_a_root_span(exporter: InMemorySpanExporter) -> None:
    """A task that overrides its call has a root span and no stage."""
    with Skip(recipe_run_id=1, workflow_name="w", workflow_version="1.0.0") as task:
        task()
    assert list(by_name(exporter)) == ["Skip", "teardown"]


def test_a_task_can_be_copied_and_pickled() -> None:
    """What telemetry keeps in a task does not hinder the task from reaching another process."""
    task = Count(recipe_run_id=1, workflow_name="w", workflow_version="1.0.0")
    with task:
        task()
        assert pickle.loads(pickle.dumps(task)).recipe_run_id == 1
        assert copy.deepcopy(task).task_name == "Count"


@pytest.mark.parametrize(("given", "expected"), [(7, 7), ("7", 7), ("007", 7), (10**30, 10**30)])
def test_a_recipe_run_id_is_an_integer(given: int | str, expected: int) -> None:
    """A positive integer, or its digits as a text, is the task's recipe run id."""
    assert Count(recipe_run_id=given, workflow_name="w", workflow_version="1").recipe_run_id == expected


@pytest.mark.parametrize("given", [True, False, 0, -1, 1.5, 1.0, "x", "", "0", "-1", "1.5", None, b"7"])
def test_a_wrong_recipe_run_id_is_refused(given: object) -> None:
    """Every other value is refused where the task is made, in a message that names it."""
    with pytest.raises(RequestError, match=r"recipe run id .* is not a positive integer"):
        Count(recipe_run_id=given, workflow_name="w", workflow_version="1")  # type: ignore[arg-type]  # the point


def test_a_task_without_a_run_cannot_be_made() -> None:
    """A task class without `run` raises an error where the task is made."""
    with pytest.raises(TypeError, match="run"):
        Incomplete(recipe_run_id=1, workflow_name="w", workflow_version="1.0.0")  # type: ignore[abstract]  # the point


class Async(TaskBase):
    """A task whose run nobody awaits."""

    async def run(self) -> None:  # type: ignore[override]  # the point
        """Do nothing, when awaited."""


class Lazy(TaskBase):
    """A task whose run nobody iterates over."""

    def run(self) -> Iterator[int]:  # type: ignore[override]  # the point
        """Do nothing, when iterated over."""
        yield 1


@pytest.mark.parametrize(("task_class", "what"), [(Async, "coroutine"), (Lazy, "generator")])
def test_a_run_that_did_no_work_is_a_failure(
    exporter: InMemorySpanExporter, task_class: type[TaskBase], what: str
) -> None:
    """What is only made by a call, and not done, must not pass for a success."""
    with (
        pytest.raises(TypeError, match=f"run returned a {what}, so none of its work was done"),
        task_class(recipe_run_id=1, workflow_name="w", workflow_version="1.0.0") as task,
    ):
        task()
    assert by_name(exporter)["run"].status.status_code is StatusCode.ERROR


def test_subclass_may_have_parameters_of_its_own() -> None:
    """A client that keeps an object of its own as ``parameters`` is run and named as any other task."""

    class Own(TaskBase):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.parameters = object()  # type: ignore[assignment]

        def run(self) -> None:
            self.seen = self.telemetry_attributes

    with Own(recipe_run_id=7, workflow_name="w", workflow_version="1", parameters={"gain": 2}) as task:
        task()
    assert task.seen["dkist.parameter.gain"] == 2
    assert task.seen["dkist.recipe_run.id"] == 7
