"""The software bill of materials of a release (CycloneDX 1.6), made from its locks: the same bytes each time."""

from __future__ import annotations

import json
from importlib.metadata import distributions
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from dkist_build_utils.errors import BuildError
from dkist_build_utils.release.lock import digest, locked_pins
from dkist_workflow import normalized_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from email.message import Message
    from pathlib import Path

    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License

    from dkist_build_utils.release.identity import ReleaseIdentity

SBOM_NAME = "sbom.cdx.json"
LOCK_PROPERTY = "dkist-build:lock"
"""The property of a component that names a lock in which it is."""

_LONGEST_NAME = 100
"""Characters that the name of a licence may have: some packages put its whole text there."""

Licences = dict[tuple[str, str], tuple[str, ...]]
"""What the metadata of a distribution says of its licence, by normalised name and version."""


def licences_in(site_packages: Path) -> Licences:
    """Return the licences of every distribution that is installed in a folder.

    The words are those of the metadata: the SPDX expression, or the old free text if it is short, or the classifiers.
    """
    found: Licences = {}
    for each in distributions(path=[str(site_packages)]):
        found[normalized_name(each.metadata["Name"]), each.version] = _stated(each.metadata)  # type: ignore[arg-type]
    return found


def rendered_sbom(release: ReleaseIdentity, locks: Mapping[str, bytes], licences: Licences) -> bytes:
    """Return the bytes of ``sbom.cdx.json``.

    Parameters
    ----------
    release : ReleaseIdentity
        The release.
    locks : mapping of str to bytes
        Its locks by file name.
    licences : Licences
        The licences that are known.
    """
    # A quarter of a second of imports, which only an export needs.
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    subject = Component(
        name=release.distribution,
        version=release.version,
        type=ComponentType.APPLICATION,
        bom_ref=release.folder_name,
    )
    components = [
        _component(name, version, digests, sorted(holders), licences.get((name, version), ()))
        for (name, version), (digests, holders) in _materials(locks).items()
    ]
    content = json.dumps([release.folder_name, {name: digest(lock) for name, lock in locks.items()}], sort_keys=True)
    bom = Bom(
        components=components,
        metadata=BomMetaData(component=subject),
        serial_number=uuid5(NAMESPACE_URL, f"dkist-release:{content}"),
    )
    bom.metadata.timestamp = None  # type: ignore[assignment] # the library's default is the clock
    bom.register_dependency(subject, components)
    data = json.loads(JsonV1Dot6(bom).output_as_string())
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def is_sbom_of(content: bytes, locks: Iterable[bytes]) -> bool:
    """Return whether a bill of materials lists what some locks hold, with the same hashes, and nothing else."""
    try:
        listed = {
            (component["name"], component["version"]): {each["content"] for each in component["hashes"]}
            for component in json.loads(content)["components"]
        }
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    try:
        held = _materials({str(number): lock for number, lock in enumerate(locks)})
    except BuildError:
        return False
    return listed == {key: digests for key, (digests, _) in held.items()}


def _materials(locks: Mapping[str, bytes]) -> dict[tuple[str, str], tuple[set[str], set[str]]]:
    """Return the digests of each distribution and version, and the locks that it is in."""
    found: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for file_name, content in locks.items():
        for name, pin in locked_pins(content).items():
            digests, holders = found.setdefault((name, pin.version), (set(), set()))
            digests |= pin.sha256
            holders.add(file_name)
    return found


def _component(
    name: str, version: str, digests: Iterable[str], holders: Iterable[str], licences: Iterable[str]
) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    purl = PackageURL("pypi", name=name, version=version)
    return Component(
        name=name,
        version=version,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in digests],
        licenses=_licences(licences),
        properties=[Property(name=LOCK_PROPERTY, value=holder) for holder in holders],
    )


def _licences(stated: Iterable[str]) -> list[License]:
    """Return licences in the library's form; CycloneDX takes one expression, or any number of single licences."""
    from cyclonedx.contrib.license.factories import LicenseFactory

    factory = LicenseFactory()
    texts = list(stated)
    return [factory.make_from_string(text) if len(texts) == 1 else factory.make_with_name(text) for text in texts]


def _stated(metadata: Message) -> tuple[str, ...]:
    expression = metadata.get("License-Expression")
    if expression:
        return (expression,)
    text = (metadata.get("License") or "").strip()
    if text and "\n" not in text and len(text) <= _LONGEST_NAME and text.upper() != "UNKNOWN":
        return (text,)
    classifiers = metadata.get_all("Classifier", [])
    return tuple(sorted({each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")}))
