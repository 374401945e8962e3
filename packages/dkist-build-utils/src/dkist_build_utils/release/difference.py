"""What changed from one release to another."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_build_utils.errors import BuildError, counted
from dkist_build_utils.release.content import Release, release_from_folder
from dkist_build_utils.release.lock import digest, locked_pins
from dkist_build_utils.release.tarball import release_from_archive

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from dkist_build_utils.release.workflow_row import TaskRow, WorkflowRow


@dataclass(frozen=True)
class Change:
    """One difference between two releases."""

    where: str
    """The workflow, lock or release that it is in."""
    what: str
    """The task, edge, setting or package."""
    old: str | None
    """The old value; None if the thing is new."""
    new: str | None
    """The new value; None if the thing is gone."""

    def __str__(self) -> str:
        if self.old is None:
            return f"{self.where}: + {self.what} {self.new}".rstrip()
        if self.new is None:
            return f"{self.where}: - {self.what} {self.old}".rstrip()
        return f"{self.where}: {self.what}: {self.old} -> {self.new}"


def find_release(name: str | os.PathLike[str], dags_folder: str | os.PathLike[str] | None = None) -> Release:
    """Return a release from its folder, its archive or, given the dags folder, its name there.

    Parameters
    ----------
    name : path
        The folder, the archive or the name.
    dags_folder : path, optional
        The folder from which Airflow reads DAG files.

    Raises
    ------
    BuildError
        There is no such release, or it is damaged.
    """
    path = Path(name)
    if dags_folder is not None and (Path(dags_folder) / path).is_dir():
        return release_from_folder(Path(dags_folder) / path)
    if path.is_dir():
        return release_from_folder(path)
    if path.is_file():
        return release_from_archive(path)
    where = "" if dags_folder is None else f", nor is it deployed in {dags_folder}"
    raise BuildError(f"{path}: there is no such release folder or archive{where}")


def differences(old: Release, new: Release) -> tuple[Change, ...]:
    """Return what changed: workers, workflows (matched by name), tasks, edges, settings, locked packages."""
    changes = list(_pairs("release", _workers(old), _workers(new)))
    old_workflows = {workflow.name: workflow for workflow in old.manifest.workflows}
    new_workflows = {workflow.name: workflow for workflow in new.manifest.workflows}
    for name in sorted(old_workflows.keys() | new_workflows.keys()):
        if name not in old_workflows:
            changes.append(Change(name, "workflow", None, _size(new_workflows[name])))
        elif name not in new_workflows:
            changes.append(Change(name, "workflow", _size(old_workflows[name]), None))
        else:
            changes += _workflow_changes(old_workflows[name], new_workflows[name])
    for lock in sorted(old.manifest.locks.keys() | new.manifest.locks.keys()):
        changes += _lock_changes(lock, old.files.get(lock), new.files.get(lock))
    return tuple(changes)


def _workers(release: Release) -> dict[str, str]:
    identity = release.manifest.release
    return {"Python": identity.python, "platform": str(identity.python_platform)}


def _size(workflow: WorkflowRow) -> str:
    return f"with {counted(len(workflow.tasks), 'task')}"


def _workflow_changes(old: WorkflowRow, new: WorkflowRow) -> Iterator[Change]:
    old_tasks = {task.name: task for task in old.tasks}
    new_tasks = {task.name: task for task in new.tasks}
    yield from _pairs(old.name, {f"task {task}": "" for task in old_tasks}, {f"task {task}": "" for task in new_tasks})
    yield from _pairs(old.name, _edges(old), _edges(new))
    for task in sorted(old_tasks.keys() & new_tasks.keys()):
        yield from _pairs(old.name, _settings(old_tasks[task]), _settings(new_tasks[task]))


def _edges(workflow: WorkflowRow) -> dict[str, str]:
    return {f"edge {upstream} -> {task.name}": "" for task in workflow.tasks for upstream in task.upstreams}


def _settings(task: TaskRow) -> dict[str, str]:
    """Return, as text, everything that a task asks of workers and engine."""
    compared = {"entry_point": task.entry_point, "queue": task.queue, "pip_extras": ", ".join(task.pip_extras) or None}
    settings = {**compared, **asdict(task.settings)}
    return {f"task {task.name}: {name}": "none" if value is None else str(value) for name, value in settings.items()}


def _lock_changes(name: str, old: bytes | None, new: bytes | None) -> Iterator[Change]:
    if old is None or new is None:
        yield Change(name, "lock", None if old is None else "", None if new is None else "")
        return
    changes = list(_pairs(name, _versions(old), _versions(new)))
    yield from changes
    if old != new and not changes:
        yield Change(name, "hashes, with the same versions", digest(old)[:12], digest(new)[:12])


def _versions(lock: bytes) -> dict[str, str]:
    return {name: pin.version for name, pin in locked_pins(lock).items()}


def _pairs(where: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    """Yield a change for each key whose values differ."""
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield Change(where, key, old.get(key), new.get(key))
