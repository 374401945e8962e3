"""What a DAG that was exported by us says of itself: its workflow, its environments, and that it is ours.

Nothing here calls Airflow, and nothing raises: what is not there is None.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

OWNER = "DKIST Data Center"
"""The owner of every task of every DAG file that was ever exported."""

MAXIMUM_TAG = 100
"""Airflow keeps so many characters of a tag."""

MAXIMUM_MANIFEST_BYTES = 4_000_000
"""That of a release with a hundred workflows has 200 kB."""


class ExportedWorkflow(NamedTuple):
    """The workflow that a DAG was exported from."""

    name: str
    """Its name, ``{process_category}_{process_name}``."""

    version: str
    """Its version."""


def workflow_of(*, dag_id: Any, owner: Any, tags: Iterable[Any], conf: Any) -> ExportedWorkflow | None:
    """Return the workflow of a run, None for a run of a DAG that is not ours.

    A DAG is ours if all of this holds: its owner is `OWNER`; the run was started with a recipe run id; its id is made
    of two of its tags, name and version. Every form of the DAG file that ever was has all three.

    Parameters
    ----------
    dag_id : Any
        Airflow's id of the DAG.
    owner : Any
        The owner of its tasks, as Airflow has it.
    tags : Iterable[Any]
        The names of its tags.
    conf : Any
        The configuration of the run.
    """
    if not isinstance(dag_id, str) or owner != OWNER or not isinstance(conf, Mapping):
        return None
    if not isinstance(conf.get("recipe_run_id"), int | float):  # JSON Schema takes 1.0 for an integer
        return None
    names = {str(tag) for tag in tags}
    # From the longest name on: the name may hold the text of another tag, and so may the version.
    for place in (match.start() for match in reversed(list(re.finditer("_", dag_id)))):
        name, version = dag_id[:place], dag_id[place + 1 :]
        if name[:MAXIMUM_TAG] in names and version[:MAXIMUM_TAG] in names and "_" in name:
            return ExportedWorkflow(name, version)
    return None


def environment_of(operator: Any) -> str | None:
    """Return the SHA-256 of the lock that a task's environment is made from; of its one requirement without a lock."""
    variables = _variables(operator)
    if digest := variables.get("DKIST_LOCK_SHA256"):
        return str(digest)
    requirement = variables.get("DKIST_REQUIREMENT")
    return hashlib.sha256(str(requirement).encode()).hexdigest() if requirement else None


def distribution_of(dag: Any, operator: Any) -> str | None:
    """Return name and version of a task's instrument package, from its requirement or the manifest beside the DAG."""
    if requirement := _variables(operator).get("DKIST_REQUIREMENT"):
        name, _, version = str(requirement).partition("==")
        return f"{name.partition('[')[0]} {version}".strip()
    try:
        with Path(dag.fileloc).with_name("manifest.json").open("rb") as file:
            manifest = json.loads(file.read(MAXIMUM_MANIFEST_BYTES))
        return f"{manifest['distribution']} {manifest['version']}"
    except Exception:  # no file, no release folder, no JSON: the fact is unknown
        return None


def _variables(operator: Any) -> Mapping[str, Any]:
    """Return the variables of a task: `DkistTask` has them in one attribute, the first form of the file in another."""
    attributes = getattr(operator, "__dict__", {})  # an attribute that is computed may raise
    found = (attributes.get(name) for name in ("variables", "env"))
    return next((variables for variables in found if isinstance(variables, Mapping)), {})
