"""Locks: requirements with hashes from which a worker makes the environment of a task."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from dkist_build_utils.fault import BuildError
from dkist_build_utils.requirement import TASK_REQUIREMENT
from dkist_build_utils.uv_program import find_links_options, run_uv

_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class LockRequest:
    """What a lock is to hold."""

    distribution: str
    """The instrument distribution."""
    version: str
    """The version of the workflows; ``dev`` takes whatever wheel there is."""
    extras: tuple[str, ...]
    """Extras of the distribution: normalised, sorted."""
    python: str
    """The Python of the workers, ``X.Y``."""
    python_platform: str | None
    """The platform of the workers, as uv names it; None for this machine's."""

    @property
    def file_name(self) -> str:
        """The name of the lock in a release folder."""
        return lock_file_name(self.extras)

    @property
    def name(self) -> str:
        """The distribution with its extras."""
        return f"{self.distribution}[{','.join(self.extras)}]" if self.extras else self.distribution


def lock_file_name(extras: Iterable[str]) -> str:
    """Return the name of the lock for a set of extras in a release folder."""
    return ".".join(["requirements", *filter(None, ["+".join(extras)]), "txt"])


def resolved_lock(request: LockRequest, find_links: Sequence[Path]) -> bytes:
    """
    Resolve a lock: wheels only, each with the hashes that its index, or the file itself, has now.

    Parameters
    ----------
    request
        What it is to hold.
    find_links
        Folders with wheels that are not published yet.

    Raises
    ------
    UvError
        There is no solution, in the resolver's own words.
    BuildError
        A requirement names a file or an address, which no index could give to a worker.
    """
    platform = () if request.python_platform is None else ("--python-platform", request.python_platform)
    text = run_uv(
        *("pip", "compile", "-", "--quiet", "--generate-hashes", "--only-binary", ":all:"),
        *("--no-annotate", "--no-header", "--no-python-downloads", "--no-sources"),
        *("--python-version", request.python, *platform, *find_links_options(find_links)),
        standard_input=f"{_instrument_requirement(request, find_links)}\n{TASK_REQUIREMENT}\n",
    )
    content = text.encode()
    locked_versions(content)
    return content


def locked_versions(content: bytes) -> dict[str, str]:
    """
    Return the version of each distribution that a lock pins.

    Raises
    ------
    BuildError
        A line is not ``name==version`` with SHA-256 hashes: an option, a file, an address or a requirement that is
        not exact, with which a worker would install something else than what was released.
    """
    versions: dict[str, str] = {}
    # An encoding error is the same fault as any other stray byte.
    text = content.decode("utf-8", errors="replace").replace("\\\n", " ")
    for line in text.splitlines():
        if not line.strip():
            continue
        stated, *hashes = re.split(r"\s+(?=--)", line.strip())
        try:
            requirement = Requirement(stated)
        except InvalidRequirement:
            raise BuildError(f"{line.strip()[:200]!r} is not a pinned requirement") from None
        (pin,) = specifiers if len(specifiers := list(requirement.specifier)) == 1 else (None,)
        if requirement.url or pin is None or pin.operator != "==" or "*" in pin.version:
            raise BuildError(
                f"{stated[:200]!r} is not pinned to one version of a wheel that an index could give to a worker"
            )
        if not hashes or not all(map(_HASH.fullmatch, hashes)):
            raise BuildError(f"{stated!r} has no SHA-256 hash, or something else beside it")
        versions[canonicalize_name(requirement.name)] = pin.version
    return versions


def stale_reason(content: bytes, request: LockRequest) -> str | None:
    """Return why a lock that exists is not one for a request, as far as its text tells; None if it is."""
    try:
        versions = locked_versions(content)
    except BuildError as error:
        return str(error)
    locked = versions.get(request.distribution)
    if locked is None:
        return f"it does not hold {request.distribution!r}"
    if request.version != "dev" and Version(locked) != Version(request.version):
        return f"it holds {request.distribution!r} {locked}, not {request.version}"
    if "dkist-task" not in versions:
        return "it does not hold 'dkist-task'"
    return None


def digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return sha256(content).hexdigest()


def _instrument_requirement(request: LockRequest, find_links: Sequence[Path]) -> str:
    if request.version != "dev":
        return f"{request.name}=={request.version}"
    found = wheel_versions(request.distribution, find_links)
    # Without the pin, a final release on the index would win over the wheel that was just built.
    return f"{request.name}=={max(found)}" if found else request.name


def wheel_versions(distribution: str, folders: Sequence[Path]) -> set[Version]:
    """Return the versions of a distribution's wheels in some folders."""
    found = set()
    for wheel in (wheel for folder in folders for wheel in folder.glob("*.whl")):
        try:
            name, version, _, _ = parse_wheel_filename(wheel.name)
        except InvalidWheelFilename:
            continue  # uv passes over it as well
        if name == distribution:
            found.add(version)
    return found
