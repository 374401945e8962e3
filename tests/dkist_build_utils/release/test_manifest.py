"""The manifest: what is read, what is refused, and what is kept."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from dkist_build_utils import BuildError, Manifest, find_release
from dkist_build_utils.errors import NewerManifestError
from dkist_build_utils.release.identity import ReleaseIdentity
from tests.dkist_build_utils.release.conftest import write_archive

CONTENT: dict[str, Any] = {
    "schema": 1,
    "distribution": "dkist-processing-vbi",
    "version": "2.1.0",
    "python": "3.11",
    "python_platform": None,
    "files": {"pools.json": "a" * 64, "vbi_l0_2.1.0.py": "b" * 64},
    "locks": {"requirements.txt": [], "requirements.quality.txt": ["quality"]},
    "workflows": [
        {"dag_id": "vbi_l0_2.1.0", "name": "vbi_l0", "file": "vbi_l0_2.1.0.py", "tags": ["a b"], "tasks": []},
        {"dag_id": "vbi_l1_2.1.0", "name": "vbi_l1", "file": "vbi_l1_2.1.0.py", "tags": [], "tasks": []},
    ],
    "made_with": {"dkist-build-utils": "0.1.0"},
}
"""What a manifest of schema 1 holds: written down here, since manifests that are deployed are read for years."""


def read(**changes: object) -> Manifest:
    """Read a manifest with some members changed."""
    return Manifest.from_json(json.dumps(CONTENT | changes).encode())


def test_every_member_is_read() -> None:
    """The release, its files, its locks, its workflows and what made it."""
    manifest = read()
    assert manifest.release == ReleaseIdentity("dkist-processing-vbi", "2.1.0", "3.11", None)
    assert manifest.files == CONTENT["files"]
    assert manifest.locks == {"requirements.txt": (), "requirements.quality.txt": ("quality",)}
    assert manifest.dag_ids == ("vbi_l0_2.1.0", "vbi_l1_2.1.0")
    assert [row.tags for row in manifest.workflows] == [("a b",), ()]
    assert manifest.made_with == {"dkist-build-utils": "0.1.0"}
    assert manifest.others == {}
    assert read(python_platform="linux").release.python_platform == "linux"


def test_bytes_are_sorted_and_have_a_line_for_each_member() -> None:
    """The same manifest is the same bytes, and git shows what has changed in it."""
    assert read().to_json() == (json.dumps(CONTENT, indent=1, sort_keys=True) + "\n").encode()


def test_unknown_members_are_kept_and_cannot_stand_in_for_known_ones() -> None:
    """A member that a later version adds is written again as it was read."""
    manifest = read(signed_by={"key": [1]})
    assert manifest.others == {"signed_by": {"key": [1]}}
    assert json.loads(manifest.to_json()) == CONTENT | {"signed_by": {"key": [1]}}
    forged = dataclasses.replace(manifest, others={"version": "9", "schema": 9, "files": {}})
    assert json.loads(forged.to_json()) == CONTENT


def test_a_manifest_does_not_change() -> None:
    """What was checked is what is deployed."""
    with pytest.raises(dataclasses.FrozenInstanceError, match="files"):
        read().files = {}  # type: ignore[misc]


def test_a_newer_schema_is_told_from_no_schema() -> None:
    """Who has an old dkist-build learns that a newer one is needed; whatever else is there is not a manifest."""
    with pytest.raises(NewerManifestError, match="it has schema 2, this version reads 1; install the newer version"):
        read(schema=2)
    for schema in (0, -1, None, "1", 1.0, [1]):
        with pytest.raises(BuildError, match="its schema is unknown") as caught:
            read(schema=schema)
        assert not isinstance(caught.value, NewerManifestError)


def test_wrong_python_is_reported_as_the_manifest_says_it() -> None:
    """The message names the file; it is one line without a chain of causes."""
    with pytest.raises(
        BuildError, match=r"^manifest\.json: the Python of the workers must be a version 3\.Y"
    ) as caught:
        read(python="three")
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"schema": 2}', b'{"schema": 1}', b"[" * 100_000, b'"\\ud800"', b"\xff\x00"]
)
def test_manifest_that_is_none_is_refused(folder: Path, tmp_path: Path, content: bytes) -> None:
    """What is not a manifest of this schema is refused in one line."""
    with pytest.raises(BuildError, match=r"(^|: )manifest\.json(:| is not a manifest| was made by a newer)") as caught:
        find_release(write_archive(tmp_path / "a.tar.gz", folder, manifest__json=content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", "../../1.0.0"),
        ("distribution", None),
        ("files", ["a"]),
        ("files", {"a.py": 3}),
        ("workflows", [{"dag_id": "a"}]),
        ("workflows", []),
        ("workflows", 7),
        ("locks", {"requirements.txt": []}),
        ("made_with", []),
        ("source", "main"),
        ("source", {"commit": "0a1b"}),
        ("source", {"commit": "a\nb", "is_clean": True}),
        ("made_at", 1),
        ("locked_on", []),
        ("origins", []),
        ("origins", {"find-links": "numpy"}),
        ("origins", {"find-links": [1]}),
        ("python", "--index-url=http://127.0.0.1/"),
        ("python_platform", "--index-url=http://127.0.0.1/"),
    ],
)
def test_manifest_that_lies_is_refused(folder: Path, tmp_path: Path, key: str, value: object) -> None:
    """A manifest whose parts do not fit each other, or are of other types, is refused without a traceback."""
    manifest = json.loads((folder / "manifest.json").read_text()) | {key: value}
    path = write_archive(tmp_path / "a.tar.gz", folder, manifest__json=json.dumps(manifest).encode())
    with pytest.raises(BuildError, match=r"manifest|plain name|missing"):
        find_release(path)


def test_missing_setting_has_its_default_and_unknown_members_are_kept(folder: Path) -> None:
    """A manifest of an older version lacks settings, one of a newer version has more members; both are read."""
    content = json.loads((folder / "manifest.json").read_text())
    task = content["workflows"][0]["tasks"][1]
    del task["retries"]
    content["signed_by"], content["workflows"][0]["notebook"], task["gpu_memory"] = "x", "a.ipynb", [1]
    manifest = Manifest.from_json(json.dumps(content).encode())
    assert manifest.workflows[0].tasks[1].settings.retries == 0
    task["retries"] = 0
    assert json.loads(manifest.to_json()) == content


def test_manifest_is_written_as_it_was_read(folder: Path) -> None:
    """Reading a manifest and writing it again gives the same bytes."""
    content = (folder / "manifest.json").read_bytes()
    assert Manifest.from_json(content).to_json() == content
