"""The plan of the faults."""

from __future__ import annotations

from harness.fault_plan import KINDS, PlannedRun, Trouble, plan


def test_a_seed_gives_one_plan() -> None:
    """The same seed gives the same faults in the same order, another seed others."""
    assert list(plan(1, 200)) == list(plan(1, 200))
    assert list(plan(1, 200)) != list(plan(2, 200))


def test_a_plan_brings_as_many_faults_as_are_asked_for() -> None:
    """It stops after the step that reaches the number."""
    steps = list(plan(3, 1000))
    assert 1000 <= sum(step.faults for step in steps) < 1010


def test_a_large_plan_has_every_kind() -> None:
    """No kind is left out."""
    steps = list(plan(4, 2000))
    seen = {kind for step in steps if isinstance(step, PlannedRun) for kind in step.kinds.values()}
    seen |= {step.kind for step in steps if isinstance(step, Trouble)}
    assert seen == set(KINDS)


def test_kinds_limit_a_plan() -> None:
    """Only what is asked for happens; tasks that are left alone pass."""
    for step in plan(5, 50, ["retry-fails", "kill-scheduler"]):
        if isinstance(step, PlannedRun):
            assert set(step.kinds) == {"Twice0", "Twice1"}
            assert step.fates["Once0"] == ("pass",)
        else:
            assert step.kind == "kill-scheduler"
