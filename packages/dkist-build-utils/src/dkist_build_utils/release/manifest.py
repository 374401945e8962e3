"""The manifest of a release folder: what was released, in a form for machines."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dkist_build_utils.errors import BuildError

if TYPE_CHECKING:
    from types import UnionType

    from dkist_workflow import Node, Workflow

MANIFEST_NAME = "manifest.json"
POOLS_NAME = "pools.json"
SCHEMA = 1
"""Raised when a reader of the schema before would misread a manifest."""
PYTHON_VERSION = re.compile(r"3\.[0-9]{1,3}")
"""How the Python of the workers is told."""

_WORD = re.compile(r"\w[\w.:+-]*")


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
    _check_words(*(extra for extras in manifest.locks.values() for extra in extras))
    if not PYTHON_VERSION.fullmatch(manifest.python):
        raise ValueError(f"python is {manifest.python!r:.80}, not X.Y")
    _check_words(manifest.python_platform or "any")
    for workflow in manifest.workflows:
        _check_words(workflow["dag_id"], workflow["name"], workflow["file"])
        _check_types(workflow["tags"], workflow["tasks"], kind=list)
        for task in workflow["tasks"]:
            _check_types(task["upstreams"], task["pip_extras"], kind=list)
            _check_words(task["name"], task["entry_point"], task["queue"], *task["upstreams"], *task["pip_extras"])
            _check_types(task["pool"] or "", task["lock"] or "", kind=str)
            _check_types(task["retries"], task["retry_delay_seconds"], task["timeout_seconds"] or 0, kind=int | float)


def _check_words(*values: object) -> None:
    """Raise where a value could be taken for more than a name by a terminal, a command or a file of requirements."""
    _check_types(*values, kind=str)
    for value in values:
        if not _WORD.fullmatch(str(value)):
            raise ValueError(f"{value!r:.80} is not a name")


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
        **asdict(node.settings),
    }
