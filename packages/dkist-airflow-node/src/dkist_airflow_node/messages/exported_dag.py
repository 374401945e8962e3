"""What an exported DAG says of itself: its workflow, its environments, and that it is ours.

Nothing here calls Airflow, and nothing raises: what is not there is None.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

OWNER = "DKIST Data Center"
"""The owner of every task of every DAG file that was ever exported."""

TAG_CHARACTERS = 100
"""Characters that Airflow keeps of a tag."""

MAXIMUM_MANIFEST_BYTES = 4_000_000
"""That of a release with a hundred workflows has 200 kB."""


class ExportedWorkflow(NamedTuple):
    """The workflow that a DAG was exported from."""

    name: str
    """Its name, ``{process_category}_{process_name}``."""

    version: str
    """Its version."""

    @property
    def dag_id(self) -> str:
        """Its id in Airflow."""
        return f"{self.name}_{self.version}"


def workflow_of(*, dag_id: Any, owner: Any, tags: Iterable[Any], conf: Any) -> ExportedWorkflow | None:
    """Return the workflow of a run, None for a run of a DAG that is not ours.

    A DAG is ours if all of this holds: its owner is `OWNER`; the run was started with a recipe run id; its id is made
    of its tags (`exported_workflow`). Every form of the DAG file that ever was has all three.

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
    return exported_workflow(dag_id, {str(tag) for tag in tags})


def exported_workflow(dag_id: str, tags: Collection[str]) -> ExportedWorkflow | None:
    """Return the workflow whose name and version make a DAG id.

    Both may have underscores, so the tags decide: category, process name, workflow name and version are among them.

    Parameters
    ----------
    dag_id : str
        Airflow's id.
    tags : Collection[str]
        Those of the DAG; Airflow cuts long ones.

    Returns
    -------
    ExportedWorkflow or None
        None if the tags are not those of an exported workflow.

    Examples
    --------
    >>> exported_workflow("vbi_l0_to_l1_1.0.0", {"vbi", "l0_to_l1", "vbi_l0_to_l1", "1.0.0", "science"})
    ExportedWorkflow(name='vbi_l0_to_l1', version='1.0.0')
    """
    # From the longest name on: the name may hold the text of another tag, and so may the version.
    for name, version in reversed(_splits(dag_id)):
        if _are_tags(tags, name, version) and any(_are_tags(tags, *parts) for parts in _splits(name)):
            return ExportedWorkflow(name, version)
    return None


def _splits(text: str) -> list[tuple[str, str]]:
    """Return each way to cut a text at an underscore."""
    return [(text[:place], text[place + 1 :]) for place, letter in enumerate(text) if letter == "_"]


def _are_tags(tags: Collection[str], *texts: str) -> bool:
    """Return whether each text is a tag, as Airflow keeps it."""
    return all(text[:TAG_CHARACTERS] in tags for text in texts)


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
