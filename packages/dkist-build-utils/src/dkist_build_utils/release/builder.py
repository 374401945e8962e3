"""The release folder: the files that deploy one version of an instrument's workflows."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_airflow_node import Lock, render_dag_file
from dkist_build_utils.checks import TASK_REQUIREMENT, checked_workflows, import_faults
from dkist_build_utils.errors import BuildError, Fault, FaultsError
from dkist_build_utils.names import lock_file_name
from dkist_build_utils.programs import UvError, clean_environment, has_interpreter, locked_environment, run_uv
from dkist_build_utils.release.folder import read_folder, replace_folder
from dkist_build_utils.release.lock import LockRequest, digest, resolved_lock, stale_reason
from dkist_build_utils.release.manifest import (
    MANIFEST_NAME,
    POOLS_NAME,
    PYTHON_VERSION,
    Manifest,
    manifest_from_json,
    workflow_row,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import ModuleType

    from dkist_workflow import Workflow

_LOGGER = logging.getLogger(__name__)
_MAKERS = ("dkist-airflow-node", "dkist-build-utils", "dkist-task", "dkist-workflow")
_NEW_POOL_SLOTS = 1
"""Slots of a pool that is created: one task at a time cannot exhaust a worker; who runs the workers raises it."""


@dataclass(frozen=True)
class _Previous:
    """The release folder that is there already."""

    files: Mapping[str, bytes]
    """Its files; empty if there is none."""
    manifest: Manifest | None
    """Its manifest."""


def export(
    workflow_package: ModuleType | str,
    export_path: str | os.PathLike[str],
    *,
    version: str | None = None,
    find_links: Iterable[str | os.PathLike[str]] = (),
    python: str | None = None,
    python_platform: str | None = None,
    upgrade_locks: bool = False,
    lock: bool = True,
) -> Path:
    """
    Write the release folder of a package's workflows.

    The folder is replaced as a whole; whatever goes wrong leaves what was there. Locks that are there are kept unless
    an upgrade is asked for, so that the same release can be made again to the same bytes.

    Parameters
    ----------
    workflow_package
        The package, or its dotted name.
    export_path
        The folder in which the release folder is made.
    version
        The version of the release. The workflows have it from ``BUILD_VERSION`` when their modules are imported: give
        the dotted name of a package that is not imported yet and it is set for them, or set ``BUILD_VERSION`` before.
        If not given: the version that the workflows have.
    find_links
        Folders with wheels that are not published yet.
    python
        The Python of the workers, ``X.Y``; if not given, that of the locks that are there, then the running one.
    python_platform
        The platform of the workers, as uv names it, for example ``x86_64-manylinux_2_28``; if not given, that of the
        locks that are there, then this machine's.
    upgrade_locks
        Resolve every lock again.
    lock
        Whether to lock the environments. Without locks, workers install the released version and whatever its
        requirements resolve to on that day, unhashed.

    Returns
    -------
    Path
        The release folder, ``<distribution>_<version>`` in ``export_path``.

    Raises
    ------
    FaultsError
        The package has faults, a lock cannot be made or is for something else, or a task cannot be imported in an
        environment made from its lock.
    BuildError
        Something else than a release folder is in the way, or uv cannot be run.
    """
    folders = [Path(folder) for folder in find_links]
    for folder in folders:
        if not folder.is_dir():
            raise BuildError(f"--find-links {folder}: there is no such folder")
    _LOGGER.info("checking the workflows of %s", getattr(workflow_package, "__name__", workflow_package))
    with _build_version(version):
        workflows = checked_workflows(workflow_package)
    _check_version(workflows, version)
    target = Path(export_path) / f"{workflows[0].distribution}_{workflows[0].workflow_version}"
    previous = _previous_release(target)
    old = previous.manifest if lock and not upgrade_locks else None
    if old is not None and old.locks:
        python, python_platform = python or old.python, python_platform or old.python_platform
    python = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    if not PYTHON_VERSION.fullmatch(python):
        raise BuildError(f"the Python of the workers is told as X.Y, for example 3.11, not {python!r}")
    locks: dict[tuple[str, ...], bytes] = {}
    if lock:
        if old is not None and old.locks and (old.python, old.python_platform) != (python, python_platform):
            made_for = f"Python {old.python}" + (f" on {old.python_platform}" if old.python_platform else "")
            raise BuildError(f"the locks in {target} were made for {made_for}; give the same, or --upgrade-locks")
        kept = {} if upgrade_locks else previous.files
        locks = _locks(workflows, python, python_platform, folders, kept)
    else:
        _LOGGER.warning(
            "no locks: workers will install whatever the requirements of %s %s resolve to on that day, unhashed",
            workflows[0].distribution,
            workflows[0].workflow_version,
        )
    files = _release_files(workflows, locks, python, python_platform)
    if files != previous.files:
        replace_folder(target, files)
    return target


@contextmanager
def _build_version(version: str | None) -> Iterator[None]:
    """Set ``BUILD_VERSION`` while modules are imported."""
    before = os.environ.get("BUILD_VERSION")
    if version is not None:
        os.environ["BUILD_VERSION"] = version
    try:
        yield
    finally:
        if version is not None:
            os.environ.pop("BUILD_VERSION")
            if before is not None:
                os.environ["BUILD_VERSION"] = before


def _check_version(workflows: Sequence[Workflow], version: str | None) -> None:
    has = workflows[0].workflow_version
    if version is not None and has != version:
        raise BuildError(
            f"the workflows have version {has!r}, not {version!r}: they name it themselves, or were imported before it "
            "was known; leave workflow_version to BUILD_VERSION, and set that before they are imported"
        )


def _previous_release(target: Path) -> _Previous:
    """Return the release folder that is there; BuildError where something else is."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise BuildError(f"{target} is in the way: it is not a folder; move it")
    files = read_folder(target) if target.exists() else {}
    if files and MANIFEST_NAME not in files:
        raise BuildError(f"{target} is in the way: it is no release folder ({MANIFEST_NAME} is missing); move it")
    return _Previous(files, manifest_from_json(files[MANIFEST_NAME]) if files else None)


def _locks(
    workflows: Sequence[Workflow],
    python: str,
    python_platform: str | None,
    find_links: Sequence[Path],
    kept: Mapping[str, bytes],
) -> dict[tuple[str, ...], bytes]:
    """Return the lock for each set of extras, each proven; FaultsError with all that cannot be made."""
    users: dict[tuple[str, ...], dict[str, tuple[Workflow, str]]] = defaultdict(dict)
    for workflow in workflows:
        for node in workflow.nodes:
            users[node.pip_extras].setdefault(node.entry_point, (workflow, node.name))
    locks, faults = {}, []
    for extras, tasks in sorted(users.items()):
        first = workflows[0]
        request = LockRequest(first.distribution, first.workflow_version, extras, python, python_platform)
        names = ", ".join(sorted({workflow.dag_id for workflow, _ in tasks.values()}))
        content = kept.get(request.file_name)
        try:
            if content is None:
                _LOGGER.info("resolving %s for Python %s", request.file_name, python)
                content = resolved_lock(request, find_links)
            reason = stale_reason(content, request, find_links)
            if reason is not None:
                hint = "; resolve again with --upgrade-locks" if request.file_name in kept else ""
                faults.append(Fault(request.file_name, None, f"it is no lock for this release: {reason}{hint}"))
                continue
            faults += _proof_faults(request, content, tasks, find_links, is_kept=request.file_name in kept)
        except UvError as error:
            hint = (
                "\nif the wheels have changed, resolve again with --upgrade-locks" if request.file_name in kept else ""
            )
            faults.append(Fault(names, None, f"{request.name} {request.version}: {error}{hint}"))
        else:
            locks[extras] = content
    if faults:
        raise FaultsError(f"the environments of {workflows[0].distribution!r}", faults)
    return locks


def _proof_faults(
    request: LockRequest,
    content: bytes,
    tasks: Mapping[str, tuple[Workflow, str]],
    find_links: Sequence[Path],
    *,
    is_kept: bool,
) -> Iterator[Fault]:
    """Yield the tasks that cannot be imported in an environment made from the lock alone."""
    if not _is_this_platform(request.python_platform) or not has_interpreter(request.python):
        _LOGGER.warning(
            "%s: not proven that its tasks can be imported: this machine cannot run Python %s for %s",
            request.file_name,
            request.python,
            request.python_platform or platform.machine(),
        )
        return
    _LOGGER.info("importing %d tasks in an environment made from %s", len(tasks), request.file_name)
    with locked_environment(content, request.python, find_links) as interpreter:
        if is_kept:
            # Nothing may be left to install: the requirements of a wheel named 'dev' change without a change of name.
            try:
                run_uv(
                    *("pip", "install", "--dry-run", "--offline", "--no-index", "--python", interpreter),
                    *(request.name, TASK_REQUIREMENT),
                )
            except UvError as error:
                yield Fault(
                    request.file_name, None, f"the lock that is there lacks something; --upgrade-locks: {error}"
                )
                return
        problems = import_faults(interpreter, tasks, distribution=request.distribution, environment=clean_environment())
    for entry_point, problem in problems.items():
        workflow, task = tasks[entry_point]
        yield Fault(workflow.dag_id, task, f"in an environment made from {request.file_name}, {problem}")


def _is_this_platform(python_platform: str | None) -> bool:
    if python_platform is None:
        return True
    own = (f"{platform.machine()}-manylinux", f"{platform.machine()}-unknown-linux-gnu")
    return sys.platform == "linux" and (python_platform == "linux" or python_platform.startswith(own))


def _release_files(
    workflows: Sequence[Workflow], locks: Mapping[tuple[str, ...], bytes], python: str, python_platform: str | None
) -> dict[str, bytes]:
    """Return every file of the release folder."""
    names = {extras: lock_file_name(extras) for extras in locks}
    references = {extras: Lock(names[extras], digest(content)) for extras, content in locks.items()}
    files = {names[extras]: content for extras, content in locks.items()}
    for workflow in workflows:
        files[f"{workflow.dag_id}.py"] = render_dag_file(workflow, locks=references or None, python=python)
    files[POOLS_NAME] = _pools(workflows)
    manifest = Manifest(
        distribution=workflows[0].distribution,
        version=workflows[0].workflow_version,
        python=python,
        python_platform=python_platform,
        files={name: digest(content) for name, content in sorted(files.items())},
        locks={names[extras]: list(extras) for extras in sorted(locks)},
        workflows=[workflow_row(workflow, names) for workflow in workflows],
        made_with={maker: version_of(maker) for maker in _MAKERS},
    )
    files[MANIFEST_NAME] = manifest.to_json()
    return files


def _pools(workflows: Sequence[Workflow]) -> bytes:
    """Return the pools that the workflows need, as ``airflow pools import`` reads them."""
    queues = {node.resource_queue for workflow in workflows for node in workflow.nodes if node.resource_queue.pool}
    pools = {
        queue.pool: {
            "slots": _NEW_POOL_SLOTS,
            "description": f"Tasks of the queue {queue.value}",
            "include_deferred": False,
        }
        for queue in sorted(queues)
    }
    return (json.dumps(pools, indent=1, sort_keys=True) + "\n").encode()
