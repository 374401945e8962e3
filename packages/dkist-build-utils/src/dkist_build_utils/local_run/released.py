"""Where a workflow comes from: a release folder, whose locks describe the environment of each task."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from dkist_airflow_node.worker import dag_file_literals
from dkist_build_utils.errors import BuildError
from dkist_build_utils.local_run.attempt import Fingerprint
from dkist_build_utils.local_run.plan import LocalTask, LocalWorkflow
from dkist_build_utils.local_run.source import parameter_values, variables_of_parameters
from dkist_build_utils.release import MANIFEST_NAME, release_from_folder
from dkist_task import TaskSettings
from dkist_workflow import Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dkist_workflow.parameter import ValueType

_TYPES: Mapping[str, ValueType] = {"integer": int, "number": float, "boolean": bool, "string": str}
"""The types of parameters by the names that DAG files give them."""


def is_release(folder: Path) -> bool:
    """Return whether a folder is a release folder."""
    return (folder / MANIFEST_NAME).is_file()


def workflow_of_release(
    folder: Path, name: str | None = None, parameters: Mapping[str, object] | None = None
) -> LocalWorkflow:
    """Return the workflow of a release folder, or the one of a name where it holds several.

    What runs is what its DAG file says: the tasks, their locks, and the runner whose text is in it.

    Raises
    ------
    BuildError
        The folder is not as its manifest says, holds no such workflow or several, or its files have no runner.
    """
    release = release_from_folder(folder)
    found = []
    for file_name in sorted(release.files):
        if file_name.endswith(".py"):
            values = dag_file_literals(release.files[file_name])
            if name is None or name in {values["WORKFLOW"]["name"], values["WORKFLOW"]["dag_id"]}:
                found.append(values)
    if len(found) != 1:
        what = "holds several workflows; name one as FOLDER:WORKFLOW" if found else f"holds no workflow {name!r}"
        raise BuildError(f"the release folder {folder} {what}")
    if "RUNNER" not in found[0]:
        raise BuildError(f"the release folder {folder} was made before there was a runner; export it again")
    return _local_workflow(found[0], folder.absolute(), parameters or {})


def _local_workflow(values: Mapping[str, Any], folder: Path, given: Mapping[str, object]) -> LocalWorkflow:
    """Return what a DAG file says of its workflow, with the values of its parameters."""
    workflow = values["WORKFLOW"]
    declared = [_parameter(row) for row in workflow.get("parameters", ())]
    parameters = parameter_values(workflow["name"], declared, given)
    tasks = []
    for row in values["TASKS"]:
        # Airflow fills in the folder when the task runs.
        environment = {key: text.replace("{{ dag.folder }}", str(folder)) for key, text in row["environment"].items()}
        origin = environment.get("DKIST_LOCK_SHA256") or environment.get("DKIST_REQUIREMENT", "")
        tasks.append(
            LocalTask(
                name=row["task_id"],
                upstreams=tuple(row["upstreams"]),
                settings=TaskSettings(**{each.name: row[each.name] for each in fields(TaskSettings)}),
                fingerprint=Fingerprint(
                    entry_point=row["entry_point"],
                    distribution=workflow["version"],
                    environment=f"Python {workflow['python']}, lock {origin}",
                    parameters=parameters,
                ),
                variables={"DKIST_TASK": row["entry_point"], "DKIST_TASK_NAME": row["task_id"], **environment},
            )
        )
    variables = {"DKIST_PYTHON": workflow["python"], **variables_of_parameters(parameters)}
    return LocalWorkflow(workflow["name"], workflow["version"], tuple(tasks), variables, values["RUNNER"])


def _parameter(row: Mapping[str, Any]) -> Parameter:
    """Return a parameter from its row in a DAG file."""
    return Parameter(
        row["name"],
        _TYPES[row["type"]],
        row["default"],
        minimum=row.get("minimum"),
        maximum=row.get("maximum"),
        choices=row.get("enum", ()),
        description=row["description"],
    )
