"""Which deployed versions hold a distribution with a known vulnerability."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from dkist_build_utils.deployment.holding import UnknownVersion, deployed_locks
from dkist_build_utils.deployment.vulnerability import Vulnerability, vulnerability_from_file
from dkist_build_utils.errors import BuildError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from dkist_build_utils.release import Pin


@dataclass(frozen=True)
class Finding:
    """A vulnerability in something that is deployed."""

    vulnerability: str
    """Its id."""
    distribution: str
    """The distribution that has it."""
    version: str
    """The version of it that is locked."""
    deployed: tuple[str, ...]
    """The deployed versions that hold it."""
    fixed_in: str | None
    """The lowest later version without it; None if none is known."""
    aliases: tuple[str, ...]
    """Other ids of the vulnerability."""
    summary: str
    """What it is, in a line."""


@dataclass(frozen=True)
class BrokenFile:
    """A file of vulnerabilities that could not be checked."""

    path: Path
    """The file."""
    reason: str
    """Why."""


@dataclass(frozen=True)
class Audit:
    """What is known of everything that is deployed."""

    findings: tuple[Finding, ...]
    """Vulnerabilities in deployed versions, sorted."""
    read: int
    """How many files of vulnerabilities were read and checked."""
    broken: tuple[BrokenFile, ...]
    """Files that could not be read, or say nothing usable about a distribution that is deployed."""
    unknown: tuple[UnknownVersion, ...]
    """Deployed versions whose content is unknown."""

    @property
    def is_clean(self) -> bool:
        """Whether everything could be checked and nothing was found."""
        return not (self.findings or self.broken or self.unknown)


def audit(dags_folder: str | os.PathLike[str], vulnerabilities: str | os.PathLike[str]) -> Audit:
    """Compare what the deployed versions lock with known vulnerabilities; no network is used.

    Parameters
    ----------
    dags_folder : path
        The folder from which Airflow reads DAG files.
    vulnerabilities : path
        A folder with files in the format of OSV (``*.json``), at any depth. Those that were withdrawn are passed over.

    Raises
    ------
    BuildError
        A folder is missing, or that of the vulnerabilities holds no file.
    """
    files = sorted(Path(vulnerabilities).rglob("*.json"))
    if not files:
        raise BuildError(f"'{vulnerabilities}' holds no *.json file of a vulnerability, so nothing can be checked")
    deployed = deployed_locks(dags_folder)
    held = _held(deployed.pins)
    findings: dict[tuple[str, str, str], Finding] = {}
    broken = []
    for path in files:
        try:
            for each in _findings(vulnerability_from_file(path), held):
                findings.setdefault((each.vulnerability, each.distribution, each.version), each)
        except BuildError as error:
            broken.append(BrokenFile(path, str(error)))
    return Audit(
        tuple(findings[key] for key in sorted(findings)), len(files) - len(broken), tuple(broken), deployed.unknown
    )


def _held(pins: Mapping[str, Mapping[str, Mapping[str, Pin]]]) -> dict[str, dict[str, set[str]]]:
    """Return the deployed versions by distribution and by its locked version."""
    held: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name, locks in pins.items():
        for lock in locks.values():
            for distribution, pin in lock.items():
                held[distribution][pin.version].add(name)
    return held


def _findings(vulnerability: Vulnerability, held: Mapping[str, Mapping[str, set[str]]]) -> Iterator[Finding]:
    """Yield what of a vulnerability is deployed; BuildError if that cannot be decided."""
    for affected in vulnerability.affected:
        for version, names in held.get(affected.distribution, {}).items():
            if not affected.is_judgeable:
                raise BuildError(
                    f"{vulnerability.identifier} names no versions of {affected.distribution}, which is deployed"
                )
            try:
                is_affected = affected.holds(Version(version))
                fixed_in = affected.fixed_in(Version(version)) if is_affected else None
            except InvalidVersion as error:
                raise BuildError(f"{vulnerability.identifier}, {affected.distribution}: {error!s:.200}") from error
            if is_affected:
                yield Finding(
                    vulnerability=vulnerability.identifier,
                    distribution=affected.distribution,
                    version=version,
                    deployed=tuple(sorted(names)),
                    fixed_in=fixed_in,
                    aliases=vulnerability.aliases,
                    summary=vulnerability.summary,
                )
