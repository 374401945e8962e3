"""The content of a release folder, checked against its manifest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dkist_build_utils.errors import BuildError, Fault, FaultsError, NewerManifestError, counted
from dkist_build_utils.release.folder import read_folder
from dkist_build_utils.release.identity import is_plain_name
from dkist_build_utils.release.lock import digest, locked_pins
from dkist_build_utils.release.manifest import MANIFEST_NAME, Manifest
from dkist_build_utils.release.pools import POOLS_NAME, pools_from_json
from dkist_build_utils.release.sbom import SBOM_NAME, is_sbom_of
from dkist_build_utils.release.signature import SIGNATURE_NAME
from dkist_build_utils.release.wheel_folder import file_digest, missing_from, wheel_paths, wheels_of_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Release:
    """A release folder in memory, with exactly the files that its manifest lists."""

    manifest: Manifest
    """Its manifest."""
    files: Mapping[str, bytes]
    """Every file by name, the manifest and a signature included; not the wheels."""
    wheels: Mapping[str, Path] = field(default_factory=dict)
    """Where each wheel is, by name; empty unless it was read from a folder that has them."""
    has_wheels: bool = False
    """Whether the wheels were there and are as the manifest says; those of a deployed version are elsewhere."""

    @property
    def signature(self) -> bytes | None:
        """The signature of the manifest, if there is one; nobody has verified it yet."""
        return self.files.get(SIGNATURE_NAME)

    @property
    def signed_files(self) -> dict[str, bytes]:
        """Every file but the signature."""
        return {name: content for name, content in self.files.items() if name != SIGNATURE_NAME}

    @property
    def pools(self) -> dict[str, dict[str, Any]]:
        """The pools that the release needs, with the settings for those that must be created."""
        return pools_from_json(self.files[POOLS_NAME])


def release_from_folder(folder: Path) -> Release:
    """Return the content of a release folder; BuildError if it is none, or differs from its manifest.

    A folder without a folder of wheels is whole: those of a deployed version are beside the dags folder.
    """
    if not folder.is_dir():
        raise BuildError(f"{folder}: there is no such folder")
    paths = wheel_paths(folder)
    wheels = None if paths is None else {name: file_digest(path) for name, path in paths.items()}
    return replace(verified_release(str(folder), read_folder(folder), wheels), wheels=paths or {})


def verified_release(subject: str, files: Mapping[str, bytes], wheels: Mapping[str, str] | None) -> Release:
    """Return files as a release.

    Parameters
    ----------
    subject : str
        What they are from, for messages.
    files : mapping of str to bytes
        Every file but the wheels.
    wheels : mapping of str to str, optional
        The SHA-256 of each wheel by name; None if they are elsewhere.

    Raises
    ------
    BuildError
        They differ from their manifest.
    """
    if MANIFEST_NAME not in files:
        raise BuildError(
            f"{subject} is not a release: {MANIFEST_NAME} is missing; name the folder that 'dkist-build export' printed"
        )
    try:
        manifest = Manifest.from_json(files[MANIFEST_NAME])
    except NewerManifestError:
        raise
    except BuildError as error:
        raise BuildError(f"{subject}: {error}; take the release from where it was made, or export it again") from error
    faults = [
        Fault(name if is_plain_name(name) else f"{name!r:.200}", None, problem)
        for name, problem in _faults(manifest, files, wheels)
    ]
    if faults:
        raise FaultsError(subject, faults)
    return Release(manifest, files, has_wheels=wheels is not None)


def _faults(
    manifest: Manifest, files: Mapping[str, bytes], wheels: Mapping[str, str] | None
) -> Iterator[tuple[str, str]]:
    """Yield name and fault of each file that differs from the manifest, and each contradiction in the manifest."""
    if not is_plain_name(manifest.release.folder_name):
        yield MANIFEST_NAME, f"{manifest.release.folder_name!r:.200} is not a plain name"
    yield from _file_faults(manifest, files)
    yield from _wheel_faults(manifest, files, manifest.wheels if wheels is None else wheels)
    yield from _lock_faults(manifest, files)
    yield from _pool_faults(manifest, files)
    yield from _sbom_faults(manifest, files)
    yield from _workflow_faults(manifest)


def _file_faults(manifest: Manifest, files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    for name in sorted({*manifest.files, *files} - {MANIFEST_NAME, SIGNATURE_NAME}):
        if not is_plain_name(name):
            yield name, "this name is not plain"
        elif name not in files:
            yield name, "the manifest lists it and it is missing"
        elif name not in manifest.files:
            yield name, f"the manifest does not list it; every file of a release is listed in {MANIFEST_NAME}"
        elif manifest.files[name] != digest(files[name]):
            yield name, "its SHA-256 is not the one in the manifest"
    folded: dict[str, str] = {}
    for name in files:
        first = folded.setdefault(name.casefold(), name)
        if first != name:
            yield name, f"its name differs from {first!r} only in case"


def _wheel_faults(
    manifest: Manifest, files: Mapping[str, bytes], wheels: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield each wheel that is not as the manifest says, and each that the locks lack or do not name."""
    for name in sorted({*manifest.wheels, *wheels}):
        if name not in wheels:
            yield name, "the manifest lists this wheel and it is missing"
        elif name not in manifest.wheels:
            yield name, "the manifest does not list this wheel"
        elif manifest.wheels[name] != wheels[name]:
            yield name, "the SHA-256 of this wheel is not the one in the manifest"
    if not manifest.wheels:
        return
    needed: set[str] = set()
    for lock in manifest.locks.keys() & files.keys():
        try:
            needed.update(wheels_of_lock(files[lock], manifest.wheels))
            missing = missing_from(manifest.wheels, files[lock])
        except BuildError:  # reported as a fault of the lock
            return
        if missing:
            yield lock, f"the release holds wheels, but none for {', '.join(missing)}"
    for name in sorted(manifest.wheels.keys() - needed):
        yield name, "no lock names this wheel"


def _lock_faults(manifest: Manifest, files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    for name in manifest.locks.keys() & files.keys():
        try:
            pins = locked_pins(files[name])
        except BuildError as error:
            yield name, str(error)
        else:
            if manifest.release.distribution not in pins:
                yield name, f"it does not hold {manifest.release.distribution!r:.200}"


def _pool_faults(manifest: Manifest, files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Yield a fault if the pools are not those of the tasks, or not in the form that Airflow imports."""
    needed = {task.pool for workflow in manifest.workflows for task in workflow.tasks if task.pool is not None}
    try:
        is_sound = pools_from_json(files.get(POOLS_NAME, b"{}")).keys() == needed
    except ValueError:
        is_sound = False
    if not is_sound:
        yield POOLS_NAME, f"it does not hold the pools of the tasks ({', '.join(sorted(needed)) or 'none'})"


def _sbom_faults(manifest: Manifest, files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Yield a fault if there is a bill of materials that does not list what the locks hold."""
    if not manifest.locks.keys() <= files.keys():
        return  # the missing lock is the fault
    if SBOM_NAME in files and not is_sbom_of(files[SBOM_NAME], (files[name] for name in manifest.locks)):
        yield SBOM_NAME, "it does not list what the locks hold"


def _workflow_faults(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield each statement on a workflow that contradicts another, and each file that belongs to none."""
    # A release without locks has no bill of materials.
    expected = {POOLS_NAME, *manifest.locks, *manifest.files.keys() & {SBOM_NAME}}
    version = manifest.release.version
    unlisted: Counter[str] = Counter()
    for workflow in manifest.workflows:
        dag_id, name = workflow.dag_id, workflow.file
        if name != f"{dag_id}.py" or not dag_id.endswith(f"_{version}") or name in expected:
            yield (
                MANIFEST_NAME,
                f"DAG id {dag_id!r:.200}, file {name!r:.200} are not those of one workflow of {version!r:.200}",
            )
        expected.add(name)
        known: set[str] = set()
        for task in workflow.tasks:
            if task.lock is not None and task.lock not in manifest.locks:
                unlisted[task.lock] += 1
            elif task.lock is not None and manifest.locks[task.lock] != task.pip_extras:
                yield name, f"task {task.name!r:.200}: {task.lock!r:.200} is not the lock for its extras"
            if not known.issuperset(task.upstreams) or task.name in known:
                yield name, f"task {task.name!r:.200} is listed twice or before one of its upstreams"
            known.add(task.name)
    for lock, count in sorted(unlisted.items()):
        yield MANIFEST_NAME, f"it lists no lock {lock!r:.200}, which is that of {counted(count, 'task')}"
    for name in sorted(expected ^ manifest.files.keys()):
        listed = "no workflow or lock in the manifest is in it" if name in manifest.files else "it is not listed"
        yield name, listed
