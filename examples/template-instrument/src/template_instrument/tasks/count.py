"""The first step."""

from __future__ import annotations

from dkist_task import TaskBase


class Count(TaskBase):
    """Count to three, each number in a span."""

    retries = 1

    def run(self) -> None:
        """Do the work."""
        for number in (1, 2, 3):
            with self.telemetry_span(f"count to {number}"):
                print(f"recipe run {self.recipe_run_id}: {number}")
