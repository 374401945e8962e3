"""The last step."""

from __future__ import annotations

from dkist_task import TaskBase


class Report(TaskBase):
    """Say what was done."""

    def run(self) -> None:
        """Do the work."""
        print(f"{self.workflow_name} {self.workflow_version} has counted for recipe run {self.recipe_run_id}")
