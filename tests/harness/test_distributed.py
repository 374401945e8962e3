"""The functions that count in the distributed run. The run itself is a step of CI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.distributed import Account, fact, most_at_a_time, tree_faults
from harness.trial_package import Entry, read_journal, trial_package

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def _span(
    span_id: str, parent: str, task: str | None = None, *, version: str = "1", trace: str = "t"
) -> dict[str, Any]:
    attributes = [{"key": "dkist.workflow.version", "value": {"stringValue": version}}]
    if task is not None:
        attributes.append({"key": "cicd.pipeline.task.name", "value": {"stringValue": task}})
    return {"traceId": trace, "spanId": span_id, "parentSpanId": parent, "attributes": attributes}


def test_spans_below_one_parent_are_a_tree() -> None:
    """Tasks hang under one parent that is not among the spans, spans of a task under the task."""
    spans = [_span("a", "run", "A"), _span("b", "run", "B"), _span("c", "b")]
    assert tree_faults(spans, "1", {"A", "B"}) == []


def test_two_traces_two_roots_and_a_missing_task_are_told() -> None:
    """Each way of not being a tree is reported. Spans of other versions do not count."""
    assert tree_faults([_span("a", "run", "A"), _span("b", "run", "B", trace="u")], "1", {"A", "B"}) == ["2 traces"]
    spans = [_span("a", "run", "A"), _span("b", "other", "A"), _span("c", "run", "B", version="2", trace="v")]
    assert tree_faults(spans, "1", {"A", "B"}) == ["2 roots", "no span of B"]


def test_counts_how_many_run_at_a_time() -> None:
    """Overlapping tasks are counted together, consecutive tasks are not."""
    times = [("start", "A", 0.0), ("start", "B", 1.0), ("end", "A", 2.0), ("start", "C", 3.0)]
    times += [("end", "B", 4.0), ("end", "C", 5.0)]
    assert most_at_a_time([Entry(event, task, 1, 1, time, "/") for event, task, time in times]) == 2


def test_reads_a_fact_from_the_block_that_opens_a_log() -> None:
    """A fact is found by its name at the start of a line. A missing fact is empty."""
    log = "dkist: environment /store/x\ndistribution: example 1.0.0\nenvironment:  /store/x\n"
    assert fact(log, "distribution") == "example 1.0.0"
    assert fact(log, "environment") == "/store/x"
    assert fact(log, "memory") == ""


def test_a_check_that_fails_is_kept_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """What was seen and what was expected are printed, and the check decides the exit status."""
    account = Account()
    account.check("pools are respected", 2, 1)
    account.confirm("the worker lives", holds=True)
    assert account.failed == ["pools are respected"]
    assert "✗ pools are respected: 2, not 1" in capsys.readouterr().out


def test_trial_tasks_write_a_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task of the trial package leaves its start and its end, which are read back."""
    namespace: dict[str, Any] = {}
    monkeypatch.setenv("TRIAL_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.setenv("DKIST_TRY_NUMBER", "2")
    assert read_journal(tmp_path / "journal") == []
    source = trial_package().files()["dkist_processing_trial/tasks.py"]
    exec(compile(source, "tasks", "exec"), namespace)
    with namespace["Heavy0"](recipe_run_id=1, workflow_name="w", workflow_version="1") as task:
        task()
    assert [(entry.event, entry.task, entry.attempt) for entry in read_journal(tmp_path / "journal")] == [
        ("start", "Heavy0", 2),
        ("end", "Heavy0", 2),
    ]
