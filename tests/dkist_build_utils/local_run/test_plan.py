"""What runs, what is kept, and why: without a process."""

from __future__ import annotations

import dataclasses

import pytest

from dkist_build_utils import BuildError
from dkist_build_utils.local_run.attempt import Attempt, Fingerprint
from dkist_build_utils.local_run.journal import Record
from dkist_build_utils.local_run.plan import LocalTask, Selection, plan

MADE_FROM = Fingerprint("small:Task", "small 1.0", "0" * 64, "Python 3.11.7")


def chain(**changes: Fingerprint) -> tuple[LocalTask, ...]:
    """Return A, then B and C after it, then D after both."""
    edges = {"A": (), "B": ("A",), "C": ("A",), "D": ("B", "C")}
    return tuple(
        LocalTask(name, upstreams, fingerprint=changes.get(name, MADE_FROM)) for name, upstreams in edges.items()
    )


def record_of(*lines: str | tuple[str, str]) -> Record:
    """Return what a journal says in which tasks succeeded one after the other, or ended otherwise."""
    record = Record()
    for number, line in enumerate(lines, start=2):
        task, result = (line, "success") if isinstance(line, str) else line
        attempt = Attempt(task, record.tries.get(task, 0) + 1, result, MADE_FROM, "2026-11-24T10:00:00.000")
        record.add(number, attempt.to_entry())
    return record


def actions(tasks: tuple[LocalTask, ...], record: Record, **options: object) -> dict[str, str]:
    """Return action and reason for each task."""
    steps = plan(tasks, record, Selection.of(tasks, **options))  # type: ignore[arg-type]
    return {step.task.name: step.action if step.action == "keep" else f"{step.action}: {step.reason}" for step in steps}


def test_nothing_ran_yet() -> None:
    """Without a journal everything runs."""
    assert set(actions(chain(), Record()).values()) == {"run: never ran"}


def test_what_is_done_is_kept() -> None:
    """A success and a skip are kept, a failure is tried again and what follows runs."""
    assert set(actions(chain(), record_of("A", ("B", "skip"), "C", "D")).values()) == {"keep"}
    assert actions(chain(), record_of("A", "B", ("C", "failure"))) == {
        "A": "keep",
        "B": "keep",
        "C": "run: failed: failure",
        "D": "run: never ran",
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": "1" * 64}, "code changed: small"),
        ({"entry_point": "small.other:Task"}, "code changed: small.other"),
        ({"distribution": "small 1.1"}, "code changed: small 1.0, now small 1.1"),
        ({"environment": "Python 3.12.1"}, "environment changed: Python 3.11.7, now Python 3.12.1"),
        ({"parameters": {"limit": 2}}, "parameters changed"),
    ],
)
def test_a_change_runs_the_task_and_what_is_downstream(change: dict[str, object], reason: str) -> None:
    """What a task is run from has changed: it runs again, and all that depends on it."""
    tasks = chain(B=dataclasses.replace(MADE_FROM, **change))  # type: ignore[arg-type]
    assert actions(tasks, record_of("A", "B", "C", "D")) == {
        "A": "keep",
        "B": f"run: {reason}",
        "C": "keep",
        "D": "run: upstream B runs again",
    }


def test_upstream_that_ran_again_earlier() -> None:
    """A task that ended before its upstream's last success runs again, whoever ran that."""
    assert actions(chain(), record_of("A", "B", "C", "D", "B"))["D"] == "run: upstream B ran again"


def test_interrupted_attempts() -> None:
    """A task that began without an end, or was cancelled, was interrupted, also where it was done before."""
    record = record_of("A", "B", "C", "D")
    record.add(9, {"begun": "B", "try_number": 2})
    assert actions(chain(), record)["B"] == "run: interrupted"
    assert actions(chain(), record_of(("A", "cancellation")))["A"] == "run: interrupted"


def test_asked_for_is_remembered_until_it_is_done() -> None:
    """What --from or --fresh asked for runs also in the next command, if the first one died before."""
    record = record_of("A", "B", "C", "D")
    record.add(7, {"again": ["C", "D"]})
    assert actions(chain(), record) == {"A": "keep", "B": "keep", "C": "run: asked for", "D": "run: asked for"}
    record.add(8, Attempt("C", 2, "success", MADE_FROM).to_entry())
    assert actions(chain(), record)["C"] == "keep"


def test_parts_of_a_workflow() -> None:
    """--from, --until, --only and --fresh choose what runs."""
    record = record_of("A", "B", "C", "D")
    assert actions(chain(), record, start="B") == {
        "A": "keep",
        "B": "run: asked for",
        "C": "keep",
        "D": "run: asked for",
    }
    until_b = actions(chain(), Record(), until="B")
    assert [until_b[name] for name in "ABCD"] == [
        "run: never ran",
        "run: never ran",
        "leave: not asked for",
        "leave: not asked for",
    ]
    assert actions(chain(), record, start="A", until="C")["D"] == "leave: not asked for"
    assert actions(chain(), Record(), only=["D"])["D"] == "run: asked for"
    assert actions(chain(), Record(), only=["D"])["A"] == "leave: not asked for"
    assert set(actions(chain(), record, fresh=True).values()) == {"run: asked for"}


def test_nothing_between_two_tasks() -> None:
    """A part of the workflow in which there is no task is refused; one task alone is a part."""
    with pytest.raises(BuildError, match=r"^task 'A' is not downstream of 'C': nothing lies between the two"):
        Selection.of(chain(), start="C", until="A")
    assert Selection.of(chain(), start="C", until="C").again == {"C"}


def test_unknown_task() -> None:
    """A name that the workflow does not have is refused with those that it has."""
    with pytest.raises(BuildError, match="no task 'E'; it has A, B, C, D"):
        Selection.of(chain(), only=["E"])
