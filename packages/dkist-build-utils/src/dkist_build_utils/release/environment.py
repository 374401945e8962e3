"""The environments of a release: a lock for each set of extras, proven, with all that is known of what it holds."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dkist_build_utils.checks import timed_step
from dkist_build_utils.errors import Fault, FaultsError, MissingWheelError, UvError, counted
from dkist_build_utils.programs import named_find_links
from dkist_build_utils.release.identity import LockRequest
from dkist_build_utils.release.lock import locked_pins, resolved_lock, stale_reason
from dkist_build_utils.release.origin import FIND_LINKS, Origin, grouped, overtaken, ungrouped
from dkist_build_utils.release.proof import Prover
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
    is_proven: bool = False
    """Whether every task was imported in its environment."""


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
    with Prover(release, find_links) as prover:
        sets = _made_sets(release, workflows, find_links, kept, prover)
    faults = [fault for each in sets for fault in each.faults]
    if faults:
        raise FaultsError(f"the environments of {release.distribution!r}", faults)
    locks = {each.request: each.lock for each in sets}
    origins = {*ungrouped(known.origins), *(origin for each in sets for origin in each.origins)}
    licences: Licences | None = {}
    for each in sets:
        licences = None if licences is None or each.licences is None else licences | each.licences
    are_kept = any(request.file_name in kept for request in locks)
    return Environments(
        locks,
        _sbom(release, locks, licences, kept.get(SBOM_NAME)),
        _held(release, origins, locks.values()),
        _locked_on(release, known.locked_on if are_kept else this_platform()),
        is_proven=licences is not None,
    )


@dataclass(frozen=True)
class _Set:
    """What came of one set of extras."""

    request: LockRequest
    """What its lock must hold."""
    lock: bytes = b""
    """The lock; empty if there is a fault."""
    origins: tuple[Origin, ...] = ()
    """From where its distributions come, if it was made now."""
    licences: Licences | None = None
    """The licences of what it holds; None if it was not proven."""
    faults: tuple[Fault, ...] = ()
    """Why it cannot be made, or does not fit."""
    is_last: bool = False
    """Whether no other set can be made either."""


def _made_sets(
    release: ReleaseIdentity,
    workflows: Sequence[Workflow],
    find_links: Sequence[Path],
    kept: Mapping[str, bytes],
    prover: Prover,
) -> list[_Set]:
    """Return the lock of each set of extras, proven.

    The first lock is made alone; the others prefer its versions, so that the environments of a release are alike, and
    the resolver has little to search. While it is proven, the others are resolved; they are proven side by side. None
    of that depends on which proof comes to its end first.
    """
    tasks = _tasks(workflows)
    first, *others = (LockRequest(release, extras) for extras in sorted(tasks))

    def located(request: LockRequest, preferred: bytes) -> _Set:
        users = tasks[request.extras]
        return _located(request, {dag_id for dag_id, _ in users.values()}, find_links, kept, preferred)

    def proven(each: _Set, *, is_first: bool = False) -> _Set:
        if each.faults:
            return each
        is_kept = each.request.file_name in kept
        try:
            proof = prover.proof_of(
                each.request, each.lock, tasks[each.request.extras], is_kept=is_kept, is_first=is_first
            )
        except UvError as error:
            names = {dag_id for dag_id, _ in tasks[each.request.extras].values()}
            return replace(each, faults=(_uv_fault(each.request, names, error, is_kept=is_kept),))
        return replace(each, faults=proof.faults, licences=proof.licences)

    base = located(first, b"")
    if base.is_last:
        return [base]
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:  # half of a resolution is waiting for the index
        proving = pool.submit(proven, base, is_first=bool(others))
        found = list(pool.map(lambda request: located(request, base.lock), others))
        return [proving.result(), *pool.map(proven, found)]


def _located(
    request: LockRequest,
    users: Collection[str],
    find_links: Sequence[Path],
    kept: Mapping[str, bytes],
    preferred: bytes,
) -> _Set:
    """Return the lock that is there, or a new one."""
    content = kept.get(request.file_name)
    is_kept = content is not None
    origins: tuple[Origin, ...] = ()
    try:
        if content is None:
            with timed_step(_LOGGER, f"resolving {request.file_name} for Python {request.release.python}"):
                content, origins = resolved_lock(request, find_links, preferred=preferred)
        reason = stale_reason(content, request, find_links)
    except MissingWheelError as error:
        return _Set(request, faults=(Fault(request.release.folder_name, None, str(error)),), is_last=True)
    except UvError as error:
        return _Set(request, faults=(_uv_fault(request, users, error, is_kept=is_kept),))
    if reason is not None:
        hint = "; resolve again with --upgrade-locks" if is_kept else ""
        problem = f"it is not a lock for this release: {reason}{hint}"
        return _Set(request, faults=(Fault(request.file_name, None, problem),))
    return _Set(request, content, origins)


def _uv_fault(request: LockRequest, users: Collection[str], error: UvError, *, is_kept: bool) -> Fault:
    hint = "\nif the wheels have changed, resolve again with --upgrade-locks" if is_kept else ""
    return Fault(", ".join(sorted(users)), None, f"{request.name} {request.release.version}: {error}{hint}")


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


def _held(release: ReleaseIdentity, origins: set[Origin], locks: Collection[bytes]) -> dict[str, tuple[str, ...]]:
    """Return the origins of what some locks hold, by place, and log them: dkist-task and the instrument by name."""
    pins = {(name, pin.version) for lock in locks for name, pin in locked_pins(lock).items()}
    origins = {origin for origin in origins if (origin.name, origin.version) in pins}
    places = grouped(origins)
    for place, held in places.items():
        if place == FIND_LINKS or len(held) <= 5:
            _LOGGER.info("from %s: %s", place, ", ".join(held))
        else:
            own = [pin for pin in held if pin.partition("==")[0] in {"dkist-task", release.distribution}]
            others = counted(len(held) - len(own), "distribution")
            _LOGGER.info("from %s: %s", place, " and ".join([*own, others]))
    for origin, versions in overtaken(origins, named_find_links()):
        _LOGGER.warning(
            "%s %s comes from %s, although UV_FIND_LINKS has %s; --find-links takes it from the folder or not at all",
            origin.name,
            origin.version,
            origin.place,
            ", ".join(map(str, versions)),
        )
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
