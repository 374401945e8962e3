"""The manifest of a release folder: what was released, in a form for machines."""

import json
from dataclasses import dataclass
from types import UnionType
from typing import Any

from dkist_build_utils.fault import BuildError
from dkist_workflow import Node, Workflow

MANIFEST_NAME = "manifest.json"
POOLS_NAME = "pools.json"
SCHEMA = 1
"""Raised when a reader of the schema before would misread a manifest."""


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says."""

    distribution: str
    """The instrument distribution, normalised."""
    version: str
    """The version of every workflow of the release."""
    python: str
    """The Python of the workers, ``X.Y``."""
    python_platform: str | None
    """The platform the locks were made for, as uv names it; None for that of the machine that made them."""
    files: dict[str, str]
    """The SHA-256 of each file of the folder, but of the manifest itself."""
    locks: dict[str, list[str]]
    """The extras that each lock is for, by file name; empty for a release without locks."""
    workflows: list[dict[str, Any]]
    """A row for each workflow: ``dag_id``, ``name``, ``file``, ``tags`` and ``tasks``."""
    made_with: dict[str, str]
    """The versions of the distributions that made the files."""

    @property
    def folder_name(self) -> str:
        """The name of the release folder."""
        return f"{self.distribution}_{self.version}"

    @property
    def dag_ids(self) -> tuple[str, ...]:
        """The ids of the workflows."""
        return tuple(workflow["dag_id"] for workflow in self.workflows)

    def to_json(self) -> bytes:
        """Return the bytes of ``manifest.json``."""
        return (json.dumps({"schema": SCHEMA, **vars(self)}, indent=1, sort_keys=True) + "\n").encode()


def manifest_from_json(content: bytes) -> Manifest:
    """
    Return what a manifest says.

    Raises
    ------
    BuildError
        It is not a manifest of this schema, or something in it has not the form that it should have.
    """
    try:
        data = json.loads(content)
        schema = data.pop("schema")
        if schema != SCHEMA:
            raise BuildError(
                f"{MANIFEST_NAME} has schema {schema!r}, this dkist-build-utils reads {SCHEMA}; install the newer one"
            )
        manifest = Manifest(**data)
        _check_form(manifest)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BuildError(f"{MANIFEST_NAME} is not a manifest: {type(error).__name__}: {error}") from error
    return manifest


def _check_form(manifest: Manifest) -> None:
    """Raise TypeError, KeyError or ValueError where a value is not of its type."""
    _check_types(manifest.distribution, manifest.version, manifest.python, manifest.python_platform or "", kind=str)
    _check_types(manifest.files, manifest.locks, manifest.made_with, kind=dict)
    _check_types(*manifest.files.values(), *manifest.made_with.values(), kind=str)
    _check_types(*manifest.locks.values(), manifest.workflows, kind=list)
    _check_types(*(extra for extras in manifest.locks.values() for extra in extras), kind=str)
    for workflow in manifest.workflows:
        _check_types(workflow["dag_id"], workflow["name"], workflow["file"], kind=str)
        _check_types(workflow["tags"], workflow["tasks"], kind=list)
        for task in workflow["tasks"]:
            _check_types(task["name"], task["entry_point"], task["queue"], task["lock"] or "", kind=str)
            _check_types(task["pool"] or "", *task["upstreams"], *task["pip_extras"], kind=str)
            _check_types(task["upstreams"], task["pip_extras"], kind=list)
            _check_types(task["retries"], task["retry_delay_seconds"], task["timeout_seconds"] or 0, kind=int | float)


def _check_types(*values: object, kind: type | UnionType) -> None:
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(f"{value!r:.80} is of the wrong type")


def workflow_row(workflow: Workflow, locks: dict[tuple[str, ...], str]) -> dict[str, Any]:
    """Return what a manifest says of a workflow, given the file name of the lock for each set of extras."""
    return {
        "dag_id": workflow.dag_id,
        "name": workflow.workflow_name,
        "file": f"{workflow.dag_id}.py",
        "tags": list(workflow.tags),
        "tasks": [_task_row(node, locks.get(node.pip_extras)) for node in workflow.nodes],
    }


def _task_row(node: Node, lock: str | None) -> dict[str, Any]:
    return {
        "name": node.name,
        "entry_point": node.entry_point,
        "upstreams": list(node.upstream_names),
        "queue": node.resource_queue.value,
        "pool": node.resource_queue.pool,
        "pip_extras": list(node.pip_extras),
        "lock": lock,
        "retries": node.retries,
        "retry_delay_seconds": node.retry_delay_seconds,
        "timeout_seconds": node.timeout_seconds,
    }
