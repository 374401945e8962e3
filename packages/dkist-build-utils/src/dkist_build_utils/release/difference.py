"""What changed from one release to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkist_build_utils.errors import BuildError
from dkist_build_utils.release.content import Release, release_from_folder
from dkist_build_utils.release.lock import digest, locked_pins
from dkist_build_utils.release.tarball import release_from_archive

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

_SETTINGS = ("entry_point", "queue", "pip_extras", "retries", "retry_delay_seconds", "timeout_seconds")


@dataclass(frozen=True)
class Change:
    """One thing that is not as it was."""

    where: str
    """The workflow, lock or release that it is in."""
    what: str
    """The task, edge, setting or package."""
    old: str | None
    """What it was; None where it is new."""
    new: str | None
    """What it is; None where it is gone."""

    def __str__(self) -> str:
        if self.old is None:
            return f"{self.where}: + {self.what} {self.new}".rstrip()
        if self.new is None:
            return f"{self.where}: - {self.what} {self.old}".rstrip()
        return f"{self.where}: {self.what}: {self.old} -> {self.new}"


def find_release(name: str | os.PathLike[str], dags_folder: str | os.PathLike[str] | None = None) -> Release:
    """
    Return a release from its folder, its archive or, given the dags folder, its name there.

    Raises
    ------
    BuildError
        There is none, or it is not sound.
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
    """Return what changed: workflows, tasks, edges, settings of tasks, locked packages. Workflows are told by name."""
    changes = [
        *_pairs("release", {"Python": old.manifest.python}, {"Python": new.manifest.python}),
        *_pairs(
            "release", {"platform": old.manifest.python_platform}, {"platform": new.manifest.python_platform}, shown=str
        ),
    ]
    old_workflows, new_workflows = _by_name(old), _by_name(new)
    for name in sorted(old_workflows.keys() | new_workflows.keys()):
        if name not in old_workflows:
            changes.append(Change(name, "workflow", None, f"with {len(new_workflows[name]['tasks'])} tasks"))
        elif name not in new_workflows:
            changes.append(Change(name, "workflow", f"with {len(old_workflows[name]['tasks'])} tasks", None))
        else:
            changes += _workflow_changes(name, old_workflows[name], new_workflows[name])
    for lock in sorted(old.manifest.locks.keys() | new.manifest.locks.keys()):
        changes += _lock_changes(lock, old.files.get(lock), new.files.get(lock))
    return tuple(changes)


def _by_name(release: Release) -> dict[str, dict[str, Any]]:
    return {workflow["name"]: workflow for workflow in release.manifest.workflows}


def _workflow_changes(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    old_tasks = {task["name"]: task for task in old["tasks"]}
    new_tasks = {task["name"]: task for task in new["tasks"]}
    yield from _pairs(name, {f"task {task}": "" for task in old_tasks}, {f"task {task}": "" for task in new_tasks})
    yield from _pairs(name, _edges(old_tasks), _edges(new_tasks))
    for task in sorted(old_tasks.keys() & new_tasks.keys()):
        yield from _pairs(
            name,
            {f"task {task}: {setting}": old_tasks[task][setting] for setting in _SETTINGS},
            {f"task {task}: {setting}": new_tasks[task][setting] for setting in _SETTINGS},
            shown=_shown_setting,
        )


def _edges(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {f"edge {upstream} -> {name}": "" for name, task in tasks.items() for upstream in task["upstreams"]}


def _shown_setting(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "none" if value is None else str(value)


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


def _pairs(
    where: str, old: Mapping[str, Any], new: Mapping[str, Any], *, shown: Callable[[Any], str] = str
) -> Iterator[Change]:
    """Yield a change for each key whose values are not the same."""
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            yield Change(where, key, None, shown(new[key]))
        elif key not in new:
            yield Change(where, key, shown(old[key]), None)
        elif old[key] != new[key]:
            yield Change(where, key, shown(old[key]), shown(new[key]))
