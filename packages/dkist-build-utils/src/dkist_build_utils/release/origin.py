"""From where the distributions of a lock come: a folder that the build was given, or an index.

The resolver takes the highest version that it finds anywhere. So somebody who publishes a higher version of
``dkist-task`` on an index that the build reads as well would have it in every release. Here, a distribution that is in
a folder of wheels comes from there, or there is no lock.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from packaging.version import Version

from dkist_build_utils.errors import BuildError
from dkist_build_utils.release.wheel import wheels_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

FIND_LINKS = "find-links"
"""The place of the wheels in a folder; the folder's path would mean nothing on another machine."""

_PIN = re.compile(r"(?P<name>[a-z0-9-]+)(\[[^\]]*\])?==(?P<version>[^\s;\\]+)")
_ANNOTATION = re.compile(r"\s+# from (?P<place>\S+)")


@dataclass(frozen=True, order=True)
class Origin:
    """From where one distribution of a lock comes."""

    place: str
    """The address of an index, without credentials, or ``find-links``."""
    name: str
    """The distribution, normalised."""
    version: str
    """Its version."""


def constraints_of(find_links: Sequence[Path], *, instrument: str) -> str:
    """Return requirements that keep each distribution that is in some folders to the versions there.

    The instrument has none: its version is that of the release, whatever other versions lie beside it. With several
    versions of another one, the bounds are the lowest and the highest: `check_origins` finds what is between.
    """
    found = _versions(find_links)
    return "".join(
        f"{name}=={versions[0]}\n" if len(versions) == 1 else f"{name}>={versions[0].public},<={versions[-1].public}\n"
        for name, versions in sorted(found.items())
        if name != instrument
    )


def without_annotations(text: str) -> tuple[str, tuple[Origin, ...]]:
    """Return what ``uv pip compile --emit-index-annotation`` printed without the annotations, and what they said."""
    lines, origins = [], []
    pin: re.Match[str] | None = None
    for line in text.splitlines(keepends=True):
        annotation = _ANNOTATION.fullmatch(line.rstrip("\n"))
        if annotation is None:
            pin = _PIN.match(line) or pin
            lines.append(line)
        elif pin is not None:
            origins.append(Origin(_place(annotation["place"]), pin["name"], pin["version"]))
    return "".join(lines), tuple(origins)


def check_origins(origins: Iterable[Origin], find_links: Sequence[Path]) -> None:
    """Check that what is in a folder of wheels was taken from one.

    Parameters
    ----------
    origins : iterable of Origin
        From where each distribution of a lock comes.
    find_links : sequence of Path
        The folders.

    Raises
    ------
    BuildError
        An index won although a folder has the distribution.
    """
    found = _versions(find_links)
    for origin in origins:
        versions = found.get(origin.name, [])
        if versions and Version(origin.version) not in versions:
            given = ", ".join(map(str, versions))
            raise BuildError(
                f"{origin.name} {origin.version} would come from {origin.place}, although --find-links has {given}; "
                "keep only the wheels that the release must hold in the folder"
            )


def overtaken(origins: Iterable[Origin], find_links: Sequence[Path]) -> Iterator[tuple[Origin, tuple[Version, ...]]]:
    """Yield each distribution that comes from an index in a version that some folders lack, and those they have."""
    found = _versions(find_links)
    for origin in sorted(origins):
        versions = found.get(origin.name, [])
        if origin.place != FIND_LINKS and versions and Version(origin.version) not in versions:
            yield origin, tuple(versions)


def grouped(origins: Iterable[Origin]) -> dict[str, tuple[str, ...]]:
    """Return what comes from each place, as ``name==version``."""
    places: dict[str, set[str]] = defaultdict(set)
    for origin in origins:
        places[origin.place].add(f"{origin.name}=={origin.version}")
    return {place: tuple(sorted(pins)) for place, pins in sorted(places.items())}


def ungrouped(places: Mapping[str, Sequence[str]]) -> tuple[Origin, ...]:
    """Return what `grouped` was made from."""
    return tuple(
        Origin(place, *pin.split("==", maxsplit=1)) for place, pins in places.items() for pin in pins if "==" in pin
    )


def _versions(find_links: Sequence[Path]) -> dict[str, list[Version]]:
    found: dict[str, set[Version]] = defaultdict(set)
    for _, name, version in wheels_in(find_links):
        found[name].add(version)
    return {name: sorted(versions) for name, versions in found.items()}


def _place(address: str) -> str:
    """Return an address without credentials and without a path of this machine."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return FIND_LINKS
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
