"""The proof of a lock: every task is imported in an environment made from the lock alone."""

from __future__ import annotations

import logging
import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dkist_build_utils.checks import TASK_REQUIREMENT, import_faults
from dkist_build_utils.errors import Fault, UvError, counted
from dkist_build_utils.programs import clean_environment, has_interpreter, locked_environment, run_uv
from dkist_build_utils.release.sbom import licences_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dkist_build_utils.release.identity import LockRequest, ReleaseIdentity
    from dkist_build_utils.release.sbom import Licences

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Proof:
    """What an environment showed that was made from a lock alone."""

    faults: tuple[Fault, ...]
    """The tasks that cannot be imported in it, or what the lock lacks."""
    licences: Licences | None
    """The licences of what it holds; None if this machine cannot make it."""


def proof_of(
    request: LockRequest,
    lock: bytes,
    tasks: Mapping[str, tuple[str, str]],
    find_links: Sequence[Path],
    *,
    is_kept: bool,
) -> Proof:
    """Import every task in an environment made from a lock alone, and see what is in it.

    Where this machine cannot run the workers' Python, a warning says so and nothing is proven.

    Parameters
    ----------
    request : LockRequest
        What the lock must hold.
    lock : bytes
        Its bytes.
    tasks : mapping of str to tuple of str
        DAG id and name of each task, by entry point.
    find_links : sequence of Path
        Folders with wheels that are not published yet.
    is_kept : bool
        Whether the lock was there before. If so, it may lack what the wheel requires by now.
    """
    if not _can_run(request.release):
        _LOGGER.warning(
            "%s: not proven that its tasks can be imported: this machine cannot run Python %s for %s",
            request.file_name,
            request.release.python,
            request.release.python_platform or platform.machine(),
        )
        return Proof((), None)
    _LOGGER.info("importing %s in an environment made from %s", counted(len(tasks), "task"), request.file_name)
    with locked_environment(lock, request.release.python, find_links) as interpreter:
        if is_kept and (lack := _lack(interpreter, request)) is not None:
            problem = f"the lock that is there lacks something; --upgrade-locks: {lack}"
            return Proof((Fault(request.file_name, None, problem),), None)
        problems = import_faults(
            interpreter, tasks, distribution=request.release.distribution, environment=clean_environment()
        )
        (site_packages,) = interpreter.parents[1].glob("lib/python*/site-packages")
        licences = licences_in(site_packages)
    place = f"in an environment made from {request.file_name}"
    faults = (Fault(*tasks[entry_point], f"{place}, {problem}") for entry_point, problem in problems.items())
    return Proof(tuple(faults), licences)


def _lack(interpreter: Path, request: LockRequest) -> str | None:
    """Return what an environment lacks, in uv's words: a 'dev' wheel may get new requirements under the same name."""
    try:
        run_uv(
            *("pip", "install", "--dry-run", "--offline", "--no-index", "--python", interpreter),
            *(request.name, TASK_REQUIREMENT),
        )
    except UvError as error:
        return str(error)
    return None


def _can_run(release: ReleaseIdentity) -> bool:
    """Return whether this machine can run the Python of the workers."""
    own = (f"{platform.machine()}-manylinux", f"{platform.machine()}-unknown-linux-gnu")
    wanted = release.python_platform
    is_this_platform = wanted is None or (sys.platform == "linux" and (wanted == "linux" or wanted.startswith(own)))
    return is_this_platform and has_interpreter(release.python)
