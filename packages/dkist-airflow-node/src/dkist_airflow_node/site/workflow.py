"""The exported workflows that an Airflow knows, recognised by what their DAG files set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from dkist_airflow_node.site.api import AirflowApi

OWNER = "DKIST Data Center"
"""The owner that every DAG file sets, of every version (``dag/body.py``)."""

TAG_CHARACTERS = 100
"""Airflow keeps so many of a tag."""


@dataclass(frozen=True)
class ExportedWorkflow:
    """One version of a workflow, as Airflow knows it."""

    dag_id: str
    """Airflow's id."""
    name: str
    """`{process_category}_{process_name}`."""
    version: str
    """Version of the instrument package."""


def exported_workflows(api: AirflowApi) -> dict[str, ExportedWorkflow]:
    """Return every exported workflow by its DAG id, also those whose file is no longer deployed.

    A DAG is one of ours if it has our owner, and its tags have a name and a version that make its id.

    Parameters
    ----------
    api : AirflowApi
        The connection to Airflow.

    Returns
    -------
    dict[str, ExportedWorkflow]
        In the order of their ids.
    """
    rows = api.entries(f"/dags?owners={quote(OWNER)}&exclude_stale=false&order_by=dag_id", "dags")
    found = (_workflow(row) for row in rows)
    return {workflow.dag_id: workflow for workflow in found if workflow is not None}


def name_and_version(dag_id: str, tags: Collection[str]) -> tuple[str, str] | None:
    """Return the name and the version that make a DAG id.

    Both may have underscores, so the tags decide: category, process name, workflow name and version are among them.

    Parameters
    ----------
    dag_id : str
        Airflow's id.
    tags : Collection[str]
        Those of the DAG; Airflow cuts long ones.

    Returns
    -------
    tuple[str, str] or None
        None if the tags are not those of an exported workflow.

    Examples
    --------
    >>> name_and_version("vbi_l0_to_l1_1.0.0", {"vbi", "l0_to_l1", "vbi_l0_to_l1", "1.0.0", "science"})
    ('vbi_l0_to_l1', '1.0.0')
    """
    for name, version in reversed(_splits(dag_id)):
        is_tagged = name[:TAG_CHARACTERS] in tags and version[:TAG_CHARACTERS] in tags
        if is_tagged and any(
            category[:TAG_CHARACTERS] in tags and process[:TAG_CHARACTERS] in tags
            for category, process in _splits(name)
        ):
            return name, version
    return None


def _splits(text: str) -> list[tuple[str, str]]:
    """Return each way to cut a text at an underscore."""
    return [(text[:place], text[place + 1 :]) for place, letter in enumerate(text) if letter == "_"]


def _workflow(row: Mapping[str, Any]) -> ExportedWorkflow | None:
    dag_id, owners, tags = row.get("dag_id"), row.get("owners"), row.get("tags")
    if not isinstance(dag_id, str) or not isinstance(owners, list) or OWNER not in owners or not isinstance(tags, list):
        return None
    names = {tag.get("name") for tag in tags if isinstance(tag, dict)}
    found = name_and_version(dag_id, {name for name in names if isinstance(name, str)})
    return None if found is None else ExportedWorkflow(dag_id, *found)
