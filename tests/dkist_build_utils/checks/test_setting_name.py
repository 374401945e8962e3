"""Attributes of a task that are nearly a setting."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dkist_build_utils.checks.setting_name import setting_name_problems
from dkist_task import TaskBase
from tests.dkist_build_utils.conftest import TASKS, Install, faults_of, instrument


def problems_of(**attributes: object) -> list[str]:
    """Return the problems of a task class with some attributes."""
    return list(setting_name_problems(type("Calibrate", (TaskBase,), attributes)))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("timeout", "timeout_seconds"),
        ("timeout_second", "timeout_seconds"),
        ("TIMEOUT_SECONDS", "timeout_seconds"),
        ("execution_timeout", "timeout_seconds"),
        ("retry", "retries"),
        ("retires", "retries"),
        ("max_retries", "retries"),
        ("retry_delay", "retry_delay_seconds"),
        ("retries_delay_seconds", "retry_delay_seconds"),
    ],
)
def test_near_miss_is_reported_with_the_right_name(written: str, meant: str) -> None:
    """A misspelt setting, or one by its name in Airflow, is answered with the setting's own name."""
    (problem,) = problems_of(**{written: 30})
    assert f"attribute {written!r} of " in problem
    assert f"the setting is called {meant!r}" in problem


@pytest.mark.parametrize("name", ["retries", "exposure_seconds", "series", "entries", "delay", "_timeout", "time"])
def test_other_names_are_left_alone(name: str) -> None:
    """Settings themselves, private names and names that are unlike all settings are no fault."""
    assert problems_of(**{name: 3}) == []


def test_only_what_could_be_a_setting_counts() -> None:
    """Texts and methods have any name; beside the setting itself a number has one too."""
    assert problems_of(timeout="never", retry=lambda _: None) == []
    assert problems_of(timeout=3, timeout_seconds=60) == []
    assert len(problems_of(timeout=timedelta(seconds=3), retry=None)) == 2


def test_validation_reports_a_near_miss_of_a_shared_base_once(install: Install) -> None:
    """An attribute that several tasks inherit is one fault that names them."""
    base = "class Base(TaskBase):\n    timeout = 30\n"
    source = TASKS.replace("class Parse", f"{base}\nclass Parse", 1).replace("(TaskBase):\n    def", "(Base):\n    def")
    name = install(instrument(tasks=source))
    (fault,) = faults_of(name)
    assert fault.startswith(f"{name}_main_dev: task 'Parse': attribute 'timeout' of {name}.tasks.Base has no effect")
    assert fault.endswith("; the same fault in Assemble")
