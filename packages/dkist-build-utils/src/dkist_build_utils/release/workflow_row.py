"""The rows of a manifest: one for each workflow, with one for each of its tasks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from dkist_build_utils.errors import BuildError
from dkist_build_utils.release.json_object import JsonObject
from dkist_task import SettingError, TaskSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dkist_workflow import Node, Workflow


@dataclass(frozen=True)
class TaskRow:
    """A task of a workflow."""

    name: str
    """Its name in the workflow."""
    entry_point: str
    """Where the launcher finds its class: ``module:class``."""
    upstreams: tuple[str, ...]
    """The names of the tasks that run before it."""
    queue: str
    """The queue of the workers that run it."""
    pool: str | None
    """The pool that limits how many tasks of the queue run at once."""
    pip_extras: tuple[str, ...]
    """The extras of the distribution in its environment."""
    lock: str | None
    """The file name of the lock of its environment; None in a release without locks."""
    settings: TaskSettings
    """What the task asks of the engine."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Members that this version does not know."""

    @classmethod
    def of(cls, node: Node, locks: Mapping[tuple[str, ...], str]) -> Self:
        """Return the row of a node, given the file name of the lock for each set of extras."""
        return cls(
            name=node.name,
            entry_point=node.entry_point,
            upstreams=node.upstream_names,
            queue=node.resource_queue.value,
            pool=node.resource_queue.pool,
            pip_extras=node.pip_extras,
            lock=locks.get(node.pip_extras),
            settings=node.settings,
        )

    @classmethod
    def from_json(cls, value: object, place: str) -> Self:
        """Return the row of a JSON object; BuildError if a member is wrong."""
        members = JsonObject(value, place)
        name = members.word("name")
        members = JsonObject(members.others, f"{place}, task {name!r}")
        return cls(
            name=name,
            entry_point=members.word("entry_point"),
            upstreams=members.words("upstreams"),
            queue=members.word("queue"),
            pool=members.optional_word("pool"),
            pip_extras=members.words("pip_extras"),
            lock=members.optional_word("lock"),
            settings=_settings(members.others, f"{place}, task {name!r}"),
            others=members.others,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the row as a JSON object."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in {"settings", "others"}}
        return {**self.others, **own, **asdict(self.settings)}


@dataclass(frozen=True)
class WorkflowRow:
    """A workflow of a release."""

    dag_id: str
    """Its id in Airflow."""
    name: str
    """Its name, the same for every version."""
    file: str
    """The name of its DAG file."""
    tags: tuple[str, ...]
    """Its own tags; Airflow shows others too."""
    tasks: tuple[TaskRow, ...]
    """Its tasks, each after its upstreams."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Members that this version does not know."""

    @classmethod
    def of(cls, workflow: Workflow, locks: Mapping[tuple[str, ...], str]) -> Self:
        """Return the row of a workflow, given the file name of the lock for each set of extras."""
        return cls(
            dag_id=workflow.dag_id,
            name=workflow.workflow_name,
            file=f"{workflow.dag_id}.py",
            tags=workflow.tags,
            tasks=tuple(TaskRow.of(node, locks) for node in workflow.nodes),
        )

    @classmethod
    def from_json(cls, value: object, place: str) -> Self:
        """Return the row of a JSON object; BuildError if a member is wrong."""
        members = JsonObject(value, place)
        name = members.word("name")
        place = f"{place}: workflow {name!r}"
        members = JsonObject(members.others, place)
        return cls(
            dag_id=members.word("dag_id"),
            name=name,
            file=members.word("file"),
            tags=tuple(map(str, members.items("tags"))),
            tasks=tuple(TaskRow.from_json(each, place) for each in members.items("tasks")),
            others=members.others,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the row as a JSON object."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "others"}
        return {**self.others, **own, "tasks": [task.to_json() for task in self.tasks]}


def _settings(members: dict[str, Any], place: str) -> TaskSettings:
    """Take the settings out of a row; a setting that an older version did not know has its default."""
    given = {each.name: members.pop(each.name) for each in fields(TaskSettings) if each.name in members}
    try:
        return TaskSettings(**given)
    except SettingError as error:
        raise BuildError(f"{place}: {error!s:.200}") from None
