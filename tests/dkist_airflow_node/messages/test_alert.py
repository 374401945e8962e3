"""What a person reads of a failure."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from dkist_airflow_node import FailureMessage, alert_text, knows_more, merged

LEAST = FailureMessage(
    workflow_name="vbi_l0", workflow_version="2.1.0", task_name="Calibrate", dag_run_id="r1", log_url=None
)
FULL = replace(
    LEAST,
    log_url="http://airflow/log",
    recipe_run_id=4711,
    try_number=2,
    max_tries=3,
    duration_seconds=192.4,
    reason="ValueError: no flats\n\n  in observe_5.fits",
    source="worker",
    host="worker-07",
    time="2026-11-24T21:57:01.123+00:00",
    distribution="dkist-vbi 2.1.0",
    environment="72fe1a9c0b1d" + "0" * 52,
)


def test_an_alert_says_what_to_look_at() -> None:
    """Which task of which recipe run, why, in which attempt, with which software, who says so, and where the log is."""
    assert alert_text(FULL) == (
        "FAILED: task Calibrate of recipe run 4711, vbi_l0 2.1.0\n"
        "ValueError: no flats\n"
        "  in observe_5.fits\n"
        "Attempt 2 of 3, after 3 min 12 s.\n"
        "Ran dkist-vbi 2.1.0, environment 72fe1a9c0b1d.\n"
        "Run r1.\n"
        "Reported by the worker on worker-07 at 2026-11-24 21:57:01 UTC.\n"
        "Log: http://airflow/log"
    )


def test_a_message_of_the_first_version_makes_an_alert() -> None:
    """What a message does not say is left out, without a gap."""
    assert alert_text(LEAST) == "FAILED: task Calibrate, vbi_l0 2.1.0\nRun r1."
    assert alert_text(replace(LEAST, task_name=None, dag_run_id=None)) == "FAILED: the run, vbi_l0 2.1.0"
    assert "Attempt 2, after" in alert_text(replace(FULL, max_tries=None))
    assert "Reported on worker-07" in alert_text(replace(FULL, source=None))


@pytest.mark.parametrize("odd", [5, -1.5, float("nan"), True, "", "x", ["x"], {"x": None}])
def test_a_message_may_hold_anything(odd: object) -> None:
    """A message with a member of another type must not stop the program that reads the queue."""
    message = replace(LEAST, **{field.name: odd for field in fields(LEAST)})  # type: ignore[arg-type]
    assert "FAILED: " in alert_text(message)
    assert "FAILED: " in alert_text(merged(message, FULL))
    assert "FAILED: " in alert_text(merged(FULL, message))


def test_a_test_is_no_alarm() -> None:
    """Nobody is to get up at night for a test message."""
    assert alert_text(replace(FULL, task_name="test message")).startswith("TEST, nothing has failed. FAILED: ")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.31, "0.3 s"), (59.9, "59.9 s"), (60, "1 min 0 s"), (3599.6, "1 h 0 min"), (7260, "2 h 1 min")],
)
def test_durations_are_words(seconds: float, words: str) -> None:
    """Seconds for a short attempt, hours for a long one."""
    assert f"after {words}." in alert_text(replace(FULL, duration_seconds=seconds))


def test_who_knows_more() -> None:
    """The worker has the error; a source that this version does not know comes last."""
    order = ["worker", "reconciler", "listener", "dag-processor", "another"]
    messages = [replace(LEAST, source=source) for source in order]
    for place, message in enumerate(messages):
        assert not knows_more(message, message)
        assert [knows_more(message, other) for other in messages] == [False] * (place + 1) + [True] * (4 - place)


def test_a_merged_message_has_what_either_knows() -> None:
    """The better message's word counts, whichever comes first; the other one fills its gaps."""
    vague = replace(
        LEAST, source="dag-processor", reason="task_failure", environment="72fe", log_url="http://airflow/x"
    )
    exact = replace(LEAST, source="worker", reason="ValueError: no flats", try_number=2)
    for found in (merged(vague, exact), merged(exact, vague)):
        assert (found.source, found.reason, found.try_number) == ("worker", "ValueError: no flats", 2)
        assert (found.environment, found.log_url) == ("72fe", "http://airflow/x")
