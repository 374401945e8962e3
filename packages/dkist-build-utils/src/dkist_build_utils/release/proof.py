"""The proof of a lock: every task is imported in an environment made from the lock alone."""

from __future__ import annotations

import logging
import platform
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkist_build_utils.checks import (
    IMPORT_PROGRAM,
    TASK_REQUIREMENT,
    Cache,
    digest_of,
    import_faults,
    stable_environment,
    timed_step,
)
from dkist_build_utils.errors import Fault, UvError, counted
from dkist_build_utils.programs import (
    clean_environment,
    installed_pythons,
    interpreter_path,
    locked_environment,
    run_uv,
)
from dkist_build_utils.release.lock import digest
from dkist_build_utils.release.sbom import licences_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

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


class Prover:
    """Proves the locks of a release: a context, at whose end the environments are removed.

    A lock that was proven before is not proven again with the same tasks, interpreter, platform, settings and version
    of uv: its hashes stand for every byte that is installed. See `Cache`.

    Parameters
    ----------
    release : ReleaseIdentity
        The release.
    find_links : sequence of Path
        Folders with wheels that are not published yet.
    """

    def __init__(self, release: ReleaseIdentity, find_links: Sequence[Path]) -> None:
        self._release = release
        self._find_links = find_links
        self._interpreter = _interpreter_for(release)
        self._cache = Cache.of_this_user("proofs")
        self._kept = ExitStack()
        self._first: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()

    def proof_of(
        self,
        request: LockRequest,
        lock: bytes,
        tasks: Mapping[str, tuple[str, str]],
        *,
        is_kept: bool,
        is_first: bool = False,
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
        is_kept : bool
            Whether the lock was there before. If so, it may lack what the wheel requires by now.
        is_first : bool, optional
            Whether its environment is kept for those of other locks, which take from it what they hold too. Then no
            other proof may be under way.
        """
        if self._interpreter is None:
            _LOGGER.warning(
                "%s: not proven that its tasks can be imported: this machine cannot run Python %s for %s; it has %s",
                request.file_name,
                request.release.python,
                request.release.python_platform or platform.machine(),
                ", ".join(installed_pythons()) or "no Python that uv finds",
            )
            return Proof((), None)
        subject = self._subject(request, lock, tasks)
        if (known := self._cache.read(subject)) is not None:
            _LOGGER.info("%s was proven before", request.file_name)
            return Proof((), {(name, version): tuple(stated) for name, version, stated in known})
        text = f"importing {counted(len(tasks), 'task')} in an environment made from {request.file_name}"
        with timed_step(_LOGGER, text), ExitStack() as stack:
            made = locked_environment(lock, self._release.python, self._find_links, like=self._first)
            interpreter = (self._kept if is_first else stack).enter_context(made)
            if is_kept and (lack := _lack(interpreter, request)) is not None:
                problem = f"the lock that is there lacks something; --upgrade-locks: {lack}"
                return Proof((Fault(request.file_name, None, problem),), None)
            problems = import_faults(
                interpreter, tasks, distribution=request.release.distribution, environment=clean_environment()
            )
            (site_packages,) = interpreter.parents[1].glob("lib/python*/site-packages")
            licences = licences_in(site_packages)
            if is_first:
                self._first = interpreter
        if not problems:
            self._cache.write(subject, [[*key, stated] for key, stated in sorted(licences.items())])
        place = f"in an environment made from {request.file_name}"
        faults = (Fault(*tasks[entry_point], f"{place}, {problem}") for entry_point, problem in problems.items())
        return Proof(tuple(faults), licences)

    def _subject(self, request: LockRequest, lock: bytes, tasks: Mapping[str, tuple[str, str]]) -> str:
        """Return a digest of everything that a proof depends on."""
        interpreter = Path(self._interpreter or "").resolve()
        state = interpreter.stat()
        stated: list[Any] = [
            [request.name, TASK_REQUIREMENT, digest(lock), sorted(tasks)],
            [request.release.python, request.release.python_platform],
            [str(interpreter), state.st_size, state.st_mtime_ns, *platform.libc_ver(), platform.machine()],
            [version_of("uv"), IMPORT_PROGRAM.read_text(encoding="utf-8")],
            sorted(stable_environment(clean_environment()).items()),
        ]
        return digest_of(stated)


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


def _interpreter_for(release: ReleaseIdentity) -> str | None:
    """Return an interpreter of this machine that is the Python of the workers; None if there is none."""
    own = (f"{platform.machine()}-manylinux", f"{platform.machine()}-unknown-linux-gnu")
    wanted = release.python_platform
    is_this_platform = wanted is None or (sys.platform == "linux" and (wanted == "linux" or wanted.startswith(own)))
    return interpreter_path(release.python) if is_this_platform else None
