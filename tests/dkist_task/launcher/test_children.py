"""Processes that a task starts: their finished spans arrive, once, in the task's trace."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.dkist_task.conftest import Collector, Launcher

CHILDREN = """
import concurrent.futures, multiprocessing
from opentelemetry import trace

def work(number):
    with trace.get_tracer("client").start_as_current_span(f"item {number}"):
        time.sleep(0.01)
    return number

class Pools(TaskBase):
    def run(self):
        context = multiprocessing.get_context(os.environ["METHOD"])
        with self.telemetry_span("parent"):
            with context.Pool(2) as pool:  # which ends its workers by SIGTERM
                assert sorted(pool.map(work, range(6))) == list(range(6))

class Executors(TaskBase):
    def run(self):
        context = multiprocessing.get_context(os.environ["METHOD"])
        with self.telemetry_span("parent"):
            with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                assert sorted(pool.map(work, range(6))) == list(range(6))

class Methods(TaskBase):
    def item(self, number):
        with self.telemetry_span(f"item {number}"):
            return self.recipe_run_id
    def run(self):
        context = multiprocessing.get_context(os.environ["METHOD"])
        with self.telemetry_span("parent"):
            processes = [context.Process(target=self.item, args=(number,)) for number in range(6)]
            for process in processes: process.start()
            for process in processes: process.join()
            assert [process.exitcode for process in processes] == [0] * 6
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("task", ["Pools", "Executors", "Methods"])
def test_children_lose_no_span_and_send_none_twice(
    collector: Collector, launch: Launcher, task: str, method: str
) -> None:
    """Whatever starts the children and ends them, each finished span arrives once and hangs in the task's trace."""
    ended = launch(CHILDREN, task, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, METHOD=method)
    assert ended.status == 0, ended.log
    names = Counter(span.name for span in collector.spans())
    expected = [*(f"item {number}" for number in range(6)), "parent", "pre_run", "run", "post_run", task]
    assert names == Counter(expected)
    spans = {span.span_id: span for span in collector.spans()}
    assert len(spans) == len(expected)
    root = collector.span(task)
    assert {span.trace_id for span in spans.values()} == {root.trace_id}
    over = collector.span("parent" if method == "fork" else task)
    assert {span.parent_span_id for span in spans.values() if span.name.startswith("item")} == {over.span_id}
    assert collector.metric("dkist.task.runs").sum.data_points[0].as_int == 1


@pytest.mark.parametrize("leave", ["os._exit(0)", "sys.exit(0)", "return", "raise ValueError('child')"])
def test_a_plain_fork_sends_nothing_of_its_parents(collector: Collector, launch: Launcher, leave: str) -> None:
    """A child that leaves by any way out sends neither the parent's open spans nor its finished ones."""
    code = f"""
class Task(TaskBase):
    def run(self):
        with self.telemetry_span("before"): pass
        pid = os.fork()
        if pid == 0:
            with self.telemetry_span("in child"): pass
            {leave}
        os.waitpid(pid, 0)
        with self.telemetry_span("after"): pass
"""
    ended = launch(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert ended.status == 0, ended.log
    names = Counter(span.name for span in collector.spans())
    in_child = names.pop("in child", 0)
    assert in_child == (0 if "_exit" in leave else 1)
    # The child that returns goes on to a post-run of its own.
    assert names.pop("post_run") == (2 if leave == "return" else 1)
    assert names == Counter(["pre_run", "before", "after", "run", "Task"])
    assert collector.metric("dkist.task.runs").sum.data_points[0].as_int == 1


def test_a_child_of_a_child_sends_its_spans(collector: Collector, launch: Launcher) -> None:
    """Forks of forks send their own spans."""
    code = """
import multiprocessing
class Task(TaskBase):
    def leaf(self):
        with self.telemetry_span("leaf"): pass
    def branch(self):
        with self.telemetry_span("branch"):
            process = multiprocessing.Process(target=self.leaf)
            process.start(); process.join()
    def run(self):
        process = multiprocessing.Process(target=self.branch)
        process.start(); process.join()
"""
    assert launch(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint).status == 0
    assert collector.span("leaf").parent_span_id == collector.span("branch").span_id
    assert collector.span("branch").parent_span_id == collector.span("run").span_id


def test_a_subprocess_can_join_the_trace(collector: Collector, launch: Launcher) -> None:
    """Another program that a task runs finds the task's span in ``TRACEPARENT``."""
    code = """
import subprocess
class Task(TaskBase):
    def run(self):
        subprocess.run([sys.executable, "-c", "import os; print('CARRIED', os.environ['TRACEPARENT'])"], check=True)
"""
    ended = launch(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    root = collector.span("Task")
    assert f"CARRIED 00-{root.trace_id.hex()}-{root.span_id.hex()}-01" in ended.output


def test_threads_stay_in_the_trace(collector: Collector, launch: Launcher) -> None:
    """A span that a thread makes hangs under the task."""
    code = """
from concurrent.futures import ThreadPoolExecutor
class Task(TaskBase):
    def item(self, number):
        with self.telemetry_span("item"): pass
    def run(self):
        with ThreadPoolExecutor(2) as pool: list(pool.map(self.item, range(4)))
"""
    assert launch(code, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint).status == 0
    items = [span for span in collector.spans() if span.name == "item"]
    assert len(items) == 4
    assert {span.parent_span_id for span in items} == {collector.span("Task").span_id}
