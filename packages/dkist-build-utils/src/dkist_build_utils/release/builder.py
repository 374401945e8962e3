"""The release folder: the files that deploy one version of an instrument's workflows."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, replace
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

from dkist_airflow_node import Lock, render_dag_file
from dkist_build_utils.checks import check_imports, checked_workflows
from dkist_build_utils.errors import BuildError
from dkist_build_utils.programs import check_pip
from dkist_build_utils.release.environment import Environments, proven_environments
from dkist_build_utils.release.folder import read_folder, replace_folder
from dkist_build_utils.release.identity import ReleaseIdentity
from dkist_build_utils.release.lock import digest
from dkist_build_utils.release.manifest import MANIFEST_NAME, Manifest
from dkist_build_utils.release.notebook import check_nbformat, write_notebooks
from dkist_build_utils.release.pools import POOLS_NAME, render_pools
from dkist_build_utils.release.provenance import Provenance
from dkist_build_utils.release.sbom import SBOM_NAME
from dkist_build_utils.release.signature import SIGNATURE_NAME
from dkist_build_utils.release.source import source_of, stated_time
from dkist_build_utils.release.wheel_folder import file_digest, wheel_paths
from dkist_build_utils.release.wheelhouse import gathered_wheels
from dkist_build_utils.release.workflow_row import WorkflowRow
from dkist_workflow import build_version

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from types import ModuleType

    from dkist_workflow import Workflow

_LOGGER = logging.getLogger(__name__)
_MAKERS = ("dkist-airflow-node", "dkist-build-utils", "dkist-task", "dkist-workflow")


@dataclass(frozen=True)
class _Previous:
    """The release folder that exists already."""

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
    wheelhouse: bool = False,
    notebook: bool = False,
) -> Path:
    """Write the release folder of a package's workflows.

    The folder is replaced as a whole. After an error, the old folder is still there. Existing locks are kept unless an
    upgrade is asked for, so the same release has the same bytes when it is made again.

    Parameters
    ----------
    workflow_package : module or str
        The package, or its dotted name.
    export_path : path
        The folder in which the release folder is made.
    version : str, optional
        The version of the release. Workflows get it when their modules are imported, so the package must not be
        imported yet: give its dotted name. By default the version that the workflows have (``BUILD_VERSION``, then
        ``dev``).
    find_links : iterable of path, optional
        Folders with wheels that are not published yet.
    python : str, optional
        The Python of the workers, ``X.Y``. By default that of the existing locks, then the running one.
    python_platform : str, optional
        The platform of the workers, as uv names it, for example ``x86_64-manylinux_2_28``. By default that of the
        existing locks, then this machine's.
    upgrade_locks : bool, optional
        Resolve every lock again.
    lock : bool, optional
        Whether to lock the environments. Without locks, a worker installs the released version and resolves its
        requirements when it builds the environment, without hashes.
    wheelhouse : bool, optional
        Whether the release holds every wheel that its locks name, so that workers need no index. Needs pip, the extra
        ``wheelhouse`` of this distribution. Wheels that are there already are kept.
    notebook : bool, optional
        Whether to write a notebook of each workflow as well, ``<dag_id>.ipynb`` in ``export_path``. It is not part of
        the release. Needs the extra ``notebook`` of this distribution.

    Returns
    -------
    Path
        The release folder, ``<distribution>_<version>`` in ``export_path``.

    Raises
    ------
    FaultsError
        The package has faults, a lock cannot be made or does not fit, or a task cannot be imported in an environment
        made from its lock.
    BuildError
        Something that is not a release folder is in the way, an extra that is needed is not installed, uv cannot be
        run, or a wheel cannot be fetched.
    """
    if wheelhouse and not lock:
        raise BuildError("a release without locks names no wheels: use --wheelhouse or --no-lock, not both")
    if wheelhouse:
        check_pip()
    if notebook:
        check_nbformat()
    folders = [Path(folder) for folder in find_links]
    for folder in folders:
        if not folder.is_dir():
            raise BuildError(f"--find-links {folder}: there is no such folder")
    made_at = stated_time()
    with build_version(version):
        workflows = checked_workflows(workflow_package)
    _check_version(workflows, version)
    first = workflows[0]
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    release = ReleaseIdentity(first.distribution, first.workflow_version, python or running, python_platform)
    target = Path(export_path) / release.folder_name
    previous = _previous_release(target)
    if lock:
        if previous.manifest is not None and previous.manifest.locks and not upgrade_locks:
            release = _same_workers(release, previous.manifest.release, python, target)
        kept = {} if upgrade_locks else previous.files
        known = Provenance() if previous.manifest is None or upgrade_locks else previous.manifest.provenance
        environments = proven_environments(release, workflows, folders, kept, known)
    else:
        environments = Environments()
        _LOGGER.warning(
            "no locks: workers will install whatever the requirements of %s %s resolve to on that day, without hashes",
            release.distribution,
            release.version,
        )
    if not environments.is_proven:
        check_imports(workflows)
    made = [Path(export_path), target, target.with_name(f"{target.name}.tar.gz"), *folders]
    provenance = Provenance(
        source=source_of(getattr(workflow_package, "__name__", str(workflow_package)), release.distribution, made),
        made_at=made_at,
        locked_on=environments.locked_on,
        origins=environments.origins,
    )
    with gathered_wheels(release, environments.locks.values() if wheelhouse else (), folders, target) as wheels:
        _write(target, _release_files(release, workflows, environments, provenance, wheels), previous, wheels)
    if notebook:
        write_notebooks(workflows, Path(export_path))
    return target


def _write(target: Path, files: Mapping[str, bytes], previous: _Previous, wheels: Mapping[str, Path]) -> None:
    """Replace the release folder, unless it is the same already."""
    kept = {name: content for name, content in previous.files.items() if name != SIGNATURE_NAME}
    has_wheels = (wheel_paths(target) or {}).keys() == wheels.keys()
    if files != kept or not has_wheels:  # a signature of the same bytes stays
        replace_folder(target, files, wheels)


def _check_version(workflows: Sequence[Workflow], version: str | None) -> None:
    has = workflows[0].workflow_version
    if version is not None and has != version:
        raise BuildError(
            f"the workflows have version {has!r}, not {version!r}: their modules name it, or were imported before this "
            "export; leave out workflow_version, and export the package before anything imports it"
        )


def _previous_release(target: Path) -> _Previous:
    """Return the existing release folder; BuildError if something else is in its place."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise BuildError(f"{target} is in the way: it is not a folder; move it")
    files = read_folder(target) if target.exists() else {}
    if files and MANIFEST_NAME not in files:
        raise BuildError(f"{target} is in the way: it is not a release folder ({MANIFEST_NAME} is missing); move it")
    return _Previous(files, Manifest.from_json(files[MANIFEST_NAME]) if files else None)


def _same_workers(
    release: ReleaseIdentity, locked: ReleaseIdentity, python: str | None, target: Path
) -> ReleaseIdentity:
    """Return the release with the workers of its locks; BuildError if other workers were asked for."""
    found = replace(
        release,
        python=python or locked.python,
        python_platform=release.python_platform or locked.python_platform,
    )
    if (found.python, found.python_platform) != (locked.python, locked.python_platform):
        raise BuildError(
            f"the locks in {target} were made for {locked.workers}, not {found.workers}; use these, or --upgrade-locks"
        )
    return found


def _release_files(
    release: ReleaseIdentity,
    workflows: Sequence[Workflow],
    environments: Environments,
    provenance: Provenance,
    wheels: Mapping[str, Path],
) -> dict[str, bytes]:
    """Return every file of the release folder but the wheels."""
    locks = environments.locks
    files = {request.file_name: content for request, content in locks.items()}
    references = {request.extras: Lock(request.file_name, digest(content)) for request, content in locks.items()}
    for workflow in workflows:
        files[f"{workflow.dag_id}.py"] = render_dag_file(workflow, locks=references or None, python=release.python)
    files[POOLS_NAME] = render_pools(workflows)
    if environments.sbom is not None:
        files[SBOM_NAME] = environments.sbom
    names = {request.extras: request.file_name for request in locks}
    manifest = Manifest(
        release=release,
        files={name: digest(content) for name, content in files.items()},
        locks={request.file_name: request.extras for request in locks},
        workflows=tuple(WorkflowRow.of(workflow, names) for workflow in workflows),
        made_with={maker: version_of(maker) for maker in _MAKERS},
        wheels={name: file_digest(path) for name, path in wheels.items()},
        provenance=provenance,
    )
    files[MANIFEST_NAME] = manifest.to_json()
    return files
