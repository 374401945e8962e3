"""The environments of a release: a lock for each set of extras, proven, with all that is known of what it holds."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dkist_build_utils.errors import Fault, FaultsError, MissingWheelError, UvError, counted
from dkist_build_utils.release.identity import LockRequest
from dkist_build_utils.release.lock import locked_pins, resolved_lock, stale_reason
from dkist_build_utils.release.origin import FIND_LINKS, Origin, grouped, ungrouped
from dkist_build_utils.release.proof import proof_of
from dkist_build_utils.release.provenance import this_platform
from dkist_build_utils.release.sbom import SBOM_NAME, Licences, is_sbom_of, rendered_sbom

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from dkist_build_utils.release.identity import ReleaseIdentity
    from dkist_build_utils.release.provenance import Provenance
    from dkist_workflow import Workflow

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Environments:
    """The locks of a release and what goes with them."""

    locks: Mapping[LockRequest, bytes] = field(default_factory=dict)
    """The bytes of each lock."""
    sbom: bytes | None = None
    """The bill of materials; None without locks."""
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What comes from each place."""
    locked_on: str | None = None
    """The platform of the machine that made the locks, if they are for that."""


def proven_environments(
    release: ReleaseIdentity,
    workflows: Sequence[Workflow],
    find_links: Sequence[Path],
    kept: Mapping[str, bytes],
    known: Provenance,
) -> Environments:
    """Return the lock for each set of extras, each proven.

    Parameters
    ----------
    release : ReleaseIdentity
        The release.
    workflows : sequence of Workflow
        Its workflows.
    find_links : sequence of Path
        Folders with wheels that are not published yet.
    kept : mapping of str to bytes
        The files of the release folder that is there; its locks are kept.
    known : Provenance
        Where the kept locks came from.

    Raises
    ------
    FaultsError
        All that cannot be made or does not fit.
    """
    locks: dict[LockRequest, bytes] = {}
    origins = set(ungrouped(known.origins))
    licences: Licences | None = {}
    faults: list[Fault] = []
    for extras, users in sorted(_tasks(workflows).items()):
        request = LockRequest(release, extras)
        content = kept.get(request.file_name)
        is_kept = content is not None
        try:
            if content is None:
                _LOGGER.info("resolving %s for Python %s", request.file_name, release.python)
                content, found = resolved_lock(request, find_links)
                origins.update(found)
            reason = stale_reason(content, request, find_links)
            if reason is None:
                proof = proof_of(request, content, users, find_links, is_kept=is_kept)
                faults += proof.faults
                licences = None if licences is None or proof.licences is None else licences | proof.licences
                locks[request] = content
            else:
                hint = "; resolve again with --upgrade-locks" if is_kept else ""
                faults.append(Fault(request.file_name, None, f"it is not a lock for this release: {reason}{hint}"))
        except MissingWheelError as error:
            faults.append(Fault(release.folder_name, None, str(error)))
            break  # no other set of extras can be resolved either
        except UvError as error:
            hint = "\nif the wheels have changed, resolve again with --upgrade-locks" if is_kept else ""
            names = ", ".join(sorted({dag_id for dag_id, _ in users.values()}))
            faults.append(Fault(names, None, f"{request.name} {release.version}: {error}{hint}"))
    if faults:
        raise FaultsError(f"the environments of {release.distribution!r}", faults)
    are_kept = any(request.file_name in kept for request in locks)
    return Environments(
        locks,
        _sbom(release, locks, licences, kept.get(SBOM_NAME)),
        _held(origins, locks.values()),
        _locked_on(release, known.locked_on if are_kept else this_platform()),
    )


def _tasks(workflows: Sequence[Workflow]) -> dict[tuple[str, ...], dict[str, tuple[str, str]]]:
    """Return, for each set of extras, DAG id and name of each task by its entry point."""
    tasks: dict[tuple[str, ...], dict[str, tuple[str, str]]] = defaultdict(dict)
    for workflow in workflows:
        for node in workflow.nodes:
            tasks[node.pip_extras].setdefault(node.entry_point, (workflow.dag_id, node.name))
    return tasks


def _sbom(
    release: ReleaseIdentity, locks: Mapping[LockRequest, bytes], licences: Licences | None, kept: bytes | None
) -> bytes:
    """Return the bill of materials; where no environment could be made here, licences are those that were known."""
    if licences is None and kept is not None and is_sbom_of(kept, locks.values()):
        return kept
    return rendered_sbom(release, {request.file_name: lock for request, lock in locks.items()}, licences or {})


def _held(origins: set[Origin], locks: Collection[bytes]) -> dict[str, tuple[str, ...]]:
    """Return the origins of what some locks hold, by place, and log them."""
    pins = {(name, pin.version) for lock in locks for name, pin in locked_pins(lock).items()}
    places = grouped(origin for origin in origins if (origin.name, origin.version) in pins)
    for place, held in places.items():
        if place == FIND_LINKS or len(held) <= 5:
            _LOGGER.info("from %s: %s", place, ", ".join(held))
        else:
            _LOGGER.info("from %s: %s", place, counted(len(held), "distribution"))
    return places


def _locked_on(release: ReleaseIdentity, made_on: str | None) -> str | None:
    """Return the platform that locks without a platform are for, with a warning if no worker can have it."""
    if release.python_platform is not None:
        return None
    if made_on is not None and not made_on.startswith("linux"):
        _LOGGER.warning(
            "the locks are for %s, where they were made, and workers run Linux; name the platform of the workers with "
            "--python-platform, for example x86_64-manylinux_2_28, and --upgrade-locks",
            made_on,
        )
    return made_on
