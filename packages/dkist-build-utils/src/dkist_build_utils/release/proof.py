"""The proof of a lock: every task is imported in an environment made from the lock alone."""

from __future__ import annotations

import logging
import platform
import sys
from typing import TYPE_CHECKING

from dkist_build_utils.checks import TASK_REQUIREMENT, import_faults
from dkist_build_utils.errors import Fault, UvError, counted
from dkist_build_utils.programs import clean_environment, has_interpreter, locked_environment, run_uv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from dkist_build_utils.release.identity import LockRequest, ReleaseIdentity

_LOGGER = logging.getLogger(__name__)


def proof_faults(
    request: LockRequest,
    lock: bytes,
    tasks: Mapping[str, tuple[str, str]],
    find_links: Sequence[Path],
    *,
    is_kept: bool,
) -> Iterator[Fault]:
    """Yield the tasks that cannot be imported in an environment made from a lock alone.

    Where this machine cannot run the workers' Python, a warning says so and nothing is yielded.

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
        return
    _LOGGER.info("importing %s in an environment made from %s", counted(len(tasks), "task"), request.file_name)
    with locked_environment(lock, request.release.python, find_links) as interpreter:
        if is_kept and (lack := _lack(interpreter, request)) is not None:
            yield Fault(request.file_name, None, f"the lock that is there lacks something; --upgrade-locks: {lack}")
            return
        problems = import_faults(
            interpreter, tasks, distribution=request.release.distribution, environment=clean_environment()
        )
    for entry_point, problem in problems.items():
        dag_id, task = tasks[entry_point]
        yield Fault(dag_id, task, f"in an environment made from {request.file_name}, {problem}")


def _lack(interpreter: Path, request: LockRequest) -> str | None:
    """Return what an environment lacks, in uv's words: the requirements of a 'dev' wheel change without its name."""
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
