"""Locks: requirements with hashes, from which a worker makes the environment of a task."""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from dkist_build_utils.checks import TASK_REQUIREMENT
from dkist_build_utils.errors import BuildError, MissingWheelError, UvError
from dkist_build_utils.programs import find_links_options, run_uv
from dkist_build_utils.release.origin import check_origins, constraints_of, without_annotations
from dkist_build_utils.release.wheel import wheels_in
from dkist_workflow import normalized_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_build_utils.release.identity import LockRequest
    from dkist_build_utils.release.origin import Origin

_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Pin:
    """One distribution in a lock."""

    version: str
    """Its only version."""
    sha256: frozenset[str]
    """The digests of the files that may be installed."""


def resolved_lock(
    request: LockRequest, find_links: Sequence[Path], *, preferred: bytes = b""
) -> tuple[bytes, tuple[Origin, ...]]:
    """Resolve a lock: wheels only, each with the hashes that its index, or the file itself, has now.

    Parameters
    ----------
    request : LockRequest
        What the lock must hold.
    find_links : sequence of Path
        Folders with wheels that are not published yet. A distribution that is there comes from there.
    preferred : bytes, optional
        Another lock of the same release. Its versions are taken where the requirements allow them.

    Returns
    -------
    bytes
        The lock.
    tuple of Origin
        From where each distribution comes.

    Raises
    ------
    UvError
        There is no solution; the message is the resolver's, or names the wheel of the instrument that is missing.
    BuildError
        A requirement names a file or an address, which no index could give to a worker; or an index won over a folder.
    """
    release = request.release
    platform = () if release.python_platform is None else ("--python-platform", release.python_platform)
    limits = constraints_of(find_links, instrument=release.distribution)
    try:
        with tempfile.TemporaryDirectory(prefix="dkist-build-") as folder:
            constraints = Path(folder, "constraints.txt")
            constraints.write_text(limits, encoding="utf-8")
            lock = Path(folder, "requirements.txt")  # uv prefers the versions in the file that it is to write
            lock.write_bytes(preferred)
            run_uv(
                *("pip", "compile", "-", "--quiet", "--generate-hashes", "--only-binary", ":all:"),
                *("--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"),
                *("--no-emit-build-options", "--emit-index-annotation", "--constraints", constraints),
                *("--no-python-downloads", "--no-sources", "--python", sys.executable),
                *("--python-version", release.python, *platform, *find_links_options(find_links)),
                *("--output-file", lock),
                standard_input=f"{_instrument_requirement(request, find_links)}\n{TASK_REQUIREMENT}\n",
            )
            text = lock.read_text(encoding="utf-8")
    except UvError as error:
        missing = _missing_wheel(request, find_links, str(error))
        if missing is not None:
            raise MissingWheelError(missing) from error
        held = [line for line in limits.splitlines() if re.split("[=>]", line)[0] in str(error)]
        if not held:
            raise
        raise UvError(f"{error}\n--find-links holds {'; '.join(held)}, and no other version is allowed") from error
    text, origins = without_annotations(text)
    content = text.encode()
    locked_pins(content)
    check_origins(origins, find_links)
    return content, origins


def locked_pins(content: bytes, *, only: str | None = None) -> dict[str, Pin]:
    """Return what a lock pins, by the name of the distribution.

    Parameters
    ----------
    content : bytes
        The bytes of the lock.
    only : str, optional
        The one distribution, normalised, that is asked for; the other lines are not read.

    Raises
    ------
    BuildError
        A line is not ``name==version`` with SHA-256 hashes. An option, a file, an address or an open requirement would
        make a worker install something else than what was released.
    """
    pins: dict[str, Pin] = {}
    # An encoding error is the same fault as any other stray byte.
    text = (content if only is None else _entries(content, only)).decode("utf-8", errors="replace")
    text = text.replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        stated, *hashes = re.split(r"\s+(?=--)", line)
        try:
            requirement = Requirement(stated)
        except InvalidRequirement:
            raise BuildError(f"{line[:200]!r} is not a pinned requirement") from None
        specifiers = list(requirement.specifier)
        is_exact = len(specifiers) == 1 and specifiers[0].operator == "==" and "*" not in specifiers[0].version
        if requirement.url or not is_exact:
            raise BuildError(
                f"{stated[:200]!r} is not pinned to one version of a wheel that an index could give to a worker"
            )
        if not hashes or not all(map(_HASH.fullmatch, hashes)):
            raise BuildError(f"{stated!r} has no SHA-256 hash, or something else beside it")
        pins[normalized_name(requirement.name)] = Pin(
            specifiers[0].version, frozenset(each.rpartition(":")[2] for each in hashes)
        )
    return pins


def stale_reason(content: bytes, request: LockRequest, find_links: Sequence[Path]) -> str | None:
    """Return why an existing lock does not fit a request, as far as its text shows; None if it fits."""
    release = request.release
    try:
        pins = locked_pins(content)
    except BuildError as error:
        return str(error)
    for required in (release.distribution, "dkist-task"):
        if required not in pins:
            return f"it does not hold {required!r}"
    locked = pins[release.distribution].version
    if not release.is_development and Version(locked) != Version(release.version):
        return f"it holds {release.distribution!r} {locked}, not {release.version}"
    for wheel, name, version in wheels_in(find_links):
        # uv may have the wheel that was locked in its cache, where no worker would find it.
        pin = pins.get(name)
        if pin is not None and Version(pin.version) == version and digest(wheel.read_bytes()) not in pin.sha256:
            return f"{wheel} has other bytes than the wheel that it locks"
    return None


def digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return sha256(content).hexdigest()


def _entries(content: bytes, name: str) -> bytes:
    """Return the lines of a lock that are for one distribution, however its name is written."""
    written = re.escape(name).replace(r"\-", "[-_.]+")
    # The newline that starts the pattern is what makes the search fast: 'm' would try every byte.
    pattern = rf"\n{written}(?![\w.-])[^\n]*(?:(?<=\\)\n[^\n]*)*".encode()
    return b"".join(re.findall(pattern, b"\n" + content, re.IGNORECASE))


def _instrument_requirement(request: LockRequest, find_links: Sequence[Path]) -> str:
    release = request.release
    if not release.is_development:
        return f"{request.name}=={release.version}"
    found = [version for _, name, version in wheels_in(find_links) if name == release.distribution]
    # Without the pin, a final release on the index would win over the wheel that was just built.
    return f"{request.name}=={max(found)}" if found else request.name


def _missing_wheel(request: LockRequest, find_links: Sequence[Path], words: str) -> str | None:
    """Return one line on the instrument's own wheel if the resolver did not find it; None if it says something else."""
    release = request.release
    said = re.sub(r"\s+", " ", words)
    name = rf"{re.escape(release.distribution)}(\[[\w,.-]+\])?"
    if not re.search(rf"no version of {name}==|(?<!\S){name} was not found in", said):
        return None
    found: dict[Path, list[str]] = {folder: [] for folder in find_links}
    for wheel, distribution, version in wheels_in(find_links):
        if distribution == release.distribution:
            found[wheel.parent].append(str(version))
    holdings = "; ".join(
        f"'{folder}' holds {', '.join(versions) or 'no wheel of it'}" for folder, versions in found.items()
    )
    where = (
        f"{holdings}, and the index has no other" if holdings else "the index has none, and no --find-links names it"
    )
    return f"the wheel of {release.distribution} {release.version} is not there: {where}; build it first"
