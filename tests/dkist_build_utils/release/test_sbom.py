"""The bill of materials: what the locks hold, with hashes and licences, the same bytes each time."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dkist_build_utils import FaultsError, archive, export
from dkist_build_utils.release.identity import ReleaseIdentity
from dkist_build_utils.release.lock import locked_pins
from dkist_build_utils.release.sbom import LOCK_PROPERTY, SBOM_NAME, is_sbom_of, rendered_sbom
from tests.dkist_build_utils.conftest import Install, contents, instrument

RELEASE = ReleaseIdentity("my-instrument", "1.0.0", "3.11", None)
LOCKS = {
    "requirements.txt": f"numpy==2.1 --hash=sha256:{'1' * 64} --hash=sha256:{'0' * 64}\n".encode(),
    "requirements.quality.txt": f"numpy==2.1 --hash=sha256:{'1' * 64}\nb==1 --hash=sha256:{'2' * 64}\n".encode(),
}


def components(content: bytes) -> dict[str, dict[str, object]]:
    """Return the components of a bill of materials by package URL."""
    return {each["purl"]: each for each in json.loads(content)["components"]}


def test_bill_is_valid_and_complete() -> None:
    """The schema's own validator accepts it; each distribution has its hashes and the locks that it is in."""
    content = rendered_sbom(RELEASE, LOCKS, {("numpy", "2.1"): ("BSD-3-Clause",)})
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    numpy = components(content)["pkg:pypi/numpy@2.1"]
    assert numpy["hashes"] == [{"alg": "SHA-256", "content": digit * 64} for digit in "01"]
    assert numpy["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]
    assert numpy["properties"] == [
        {"name": LOCK_PROPERTY, "value": lock} for lock in ("requirements.quality.txt", "requirements.txt")
    ]
    assert json.loads(content)["metadata"]["component"]["version"] == "1.0.0"


@pytest.mark.parametrize(
    ("stated", "licences"),
    [
        (("MIT OR Apache-2.0",), [{"expression": "MIT OR Apache-2.0"}]),
        (("My own words",), [{"license": {"name": "My own words"}}]),
        (("BSD License", "MIT License"), [{"license": {"name": "BSD License"}}, {"license": {"name": "MIT License"}}]),
        ((), None),
    ],
    ids=["expression", "words", "classifiers", "none"],
)
def test_licence_is_as_the_metadata_says(stated: tuple[str, ...], licences: list[object] | None) -> None:
    """An SPDX expression is one; other words stay the author's."""
    content = rendered_sbom(RELEASE, LOCKS, {("b", "1"): stated})
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    assert components(content)["pkg:pypi/b@1"].get("licenses") == licences


def test_bill_has_neither_time_nor_chance() -> None:
    """The same locks give the same bytes, in whatever order; other locks give another serial number."""
    content = rendered_sbom(RELEASE, LOCKS, {})
    assert rendered_sbom(RELEASE, dict(reversed(LOCKS.items())), {}) == content
    assert "timestamp" not in content.decode()
    other = rendered_sbom(RELEASE, {"requirements.txt": LOCKS["requirements.txt"]}, {})
    assert json.loads(other)["serialNumber"] != json.loads(content)["serialNumber"]


def test_bill_of_other_locks_is_known() -> None:
    """A bill lists exactly what the locks hold: another hash, a missing and a further distribution are seen."""
    content = rendered_sbom(RELEASE, LOCKS, {})
    assert is_sbom_of(content, LOCKS.values())
    assert not is_sbom_of(content, [LOCKS["requirements.txt"]])
    assert not is_sbom_of(content, [lock.replace(b"1" * 64, b"3" * 64) for lock in LOCKS.values()])
    for wrong in (b"", b"[]", b"{}", b'{"components": [{}]}', b"[" * 100_000):
        assert not is_sbom_of(wrong, LOCKS.values())


def test_release_holds_its_bill(install: Install, wheels: Path, tmp_path: Path) -> None:
    """Made from real locks, with the licences that the wheels state; a bill that was changed is a fault."""
    package = instrument()
    package.write_wheel(wheels)
    name = f"{install(package)}.workflows"
    folder = export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])
    before = contents(folder)
    content = (folder / SBOM_NAME).read_bytes()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    pins = locked_pins((folder / "requirements.txt").read_bytes())
    assert {each["name"] for each in components(content).values()} == pins.keys()
    task = components(content)[f"pkg:pypi/dkist-task@{pins['dkist-task'].version}"]
    assert task["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]
    assert contents(export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])) == before
    other = export(name, tmp_path / "other", version="1.0.0", find_links=[wheels])
    assert contents(other) == before
    manifest = json.loads(before["manifest.json"])
    changed = rendered_sbom(RELEASE, LOCKS, {})
    (folder / SBOM_NAME).write_bytes(changed)
    manifest["files"][SBOM_NAME] = sha256(changed).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FaultsError, match=r"sbom\.cdx\.json: it does not list what the locks hold"):
        archive(folder)
