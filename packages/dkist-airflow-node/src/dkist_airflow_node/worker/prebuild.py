"""Building, ahead of their tasks, the environments that a release folder needs."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dkist_airflow_node.errors import PrebuildError
from dkist_airflow_node.worker.runner_process import run_runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class NeededEnvironment:
    """An environment that tasks of a release run in."""

    python: str
    """Its Python, ``X.Y``."""
    variables: tuple[tuple[str, str], ...]
    """The variables that name what it holds, as the DAG sets them."""
    runner: tuple[tuple[str, str], ...] = field(repr=False)
    """The runner of the DAG: what builds the environment when the task runs, builds it now."""

    @property
    def origin(self) -> str:
        """The lock's path, or the requirement."""
        variables = dict(self.variables)
        return variables.get("DKIST_LOCK") or variables["DKIST_REQUIREMENT"]


def needed_environments(release_folder: Path) -> list[NeededEnvironment]:
    """Return what the DAG files of a release folder need, each environment once.

    The files are read, not run: this host may be without Airflow.

    Raises
    ------
    PrebuildError
        The folder cannot be read, or has no exported DAG file.
    """
    folder = release_folder.absolute()
    needed: dict[NeededEnvironment, None] = {}
    try:
        for path in sorted(folder.glob("*.py")):
            needed.update(dict.fromkeys(_environments_of(path, folder)))
    except (OSError, SyntaxError, ValueError) as error:
        raise PrebuildError(f"the release folder {release_folder} cannot be read: {error}") from error
    if not needed:
        raise PrebuildError(f"the folder {release_folder} has no DAG file exported by dkist-airflow-node")
    return list(needed)


def build_environment(needed: NeededEnvironment, say: Callable[[str], None]) -> bool:
    """Build an environment if it is missing; return whether it is there now.

    Parameters
    ----------
    needed
        The environment.
    say
        Takes each line of the log.
    """
    variables = {name: value for name, value in os.environ.items() if name not in {"DKIST_LOCK", "DKIST_REQUIREMENT"}}
    settings = {**dict(needed.variables), "DKIST_PYTHON": needed.python}
    return run_runner("build", {**variables, **settings}, say, modules=dict(needed.runner)).is_success


def _environments_of(dag_file: Path, folder: Path) -> Iterator[NeededEnvironment]:
    values = dag_file_literals(dag_file.read_bytes(), str(dag_file))
    if not {"WORKFLOW", "TASKS", "RUNNER"} <= values.keys():
        return
    for task in values["TASKS"]:
        # Airflow fills in the folder when the task runs.
        variables = {
            name: value.replace("{{ dag.folder }}", str(folder)) for name, value in task["environment"].items()
        }
        yield NeededEnvironment(
            python=values["WORKFLOW"]["python"],
            variables=tuple(sorted(variables.items())),
            runner=tuple(values["RUNNER"].items()),
        )


def dag_file_literals(content: bytes, name: str = "<DAG file>") -> dict[str, Any]:
    """Return the values that a DAG file assigns as literals, by name; nothing of the file is run.

    Parameters
    ----------
    content : bytes
        What the file holds.
    name : str, optional
        What the message of a SyntaxError calls it.
    """
    values = {}
    for statement in ast.parse(content, filename=name).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                values[statement.targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:  # a call: not data
                continue
    return values
