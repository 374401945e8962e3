"""Forty faults on a real Airflow, and the account of them.

Needs PostgreSQL on 127.0.0.1:5432, RabbitMQ's programs, and root: a small disk is mounted.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from harness.fault_account import Failure, balance
from harness.fault_plan import KINDS
from harness.faults import main, report

END = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.service
@pytest.mark.timeout(1800)
def test_no_failure_is_lost_and_none_is_reported_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """After one reconciliation, distinct keys are distinct final failures.

    A scheduler that is killed with its executors may forget an attempt whose failure is reported (decision 0017).
    """
    kinds = [kind for kind in KINDS if kind not in {"kill-scheduler", "kill-api-server"}]
    status = main(["--seed", "11", "--count", "40", "--minutes", "4", "--kinds", *kinds])
    said = capsys.readouterr().out
    assert "0 missing, 0 surplus: the same" in said, said
    assert status == 0


def test_the_account_names_what_has_no_partner() -> None:
    """Each lost failure and each surplus key is a line."""
    lost = Failure(("fault_few_1.0.0", "fault-3", "Once1"), END, "raise")
    more = {
        "workflowName": "fault_few",
        "workflowVersion": "1.0.0",
        "dagRunId": "fault-4",
        "taskName": None,
        "idempotencyKey": "k-1",
        "tryNumber": None,
        "time": END.isoformat(),
    }
    said = report(balance([lost], [more]), Counter({"raise": 2}), seed=5)
    assert "missing: raise: ('fault_few_1.0.0', 'fault-3', 'Once1')" in said
    assert "surplus: ('fault_few_1.0.0', 'fault-4', None): k-1" in said
    total = "Seed 5: 2 faults, 1 final failures and 0 that Airflow forgot"
    assert said.endswith(f"{total}, 1 distinct keys, 1 missing, 1 surplus: NOT the same")
