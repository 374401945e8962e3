"""Export DAG files of twelve tasks with the predecessor.

A program of its own, run by the predecessor's interpreter: ``python predecessor_files.py FOLDER COUNT``.
"""

from __future__ import annotations

import sys

from dkist_processing_core import TaskBase, Workflow  # type: ignore[import-not-found]  # only in its own environment


def _run(_: object) -> None:
    """Do nothing."""


STEPS = [type(f"Step{number:02}", (TaskBase,), {"run": _run}) for number in range(1, 13)]


def main() -> None:
    """Write the files."""
    folder, count = sys.argv[1], int(sys.argv[2])
    for number in range(count):
        workflow = Workflow(
            category="benchmark",
            input_data="twelve",
            output_data="tasks",
            workflow_package="benchmarks",
            workflow_version=f"1.{number}",
        )
        upstream = None
        for step in STEPS:
            workflow.add_node(task=step, upstreams=upstream)
            upstream = step
        workflow.export_dag(folder)


if __name__ == "__main__":
    main()
