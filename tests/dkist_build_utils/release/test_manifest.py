"""The manifest: what is read, what is refused, and what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, Manifest, find_release
from tests.dkist_build_utils.release.conftest import write_archive


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"schema": 2}', b'{"schema": 1}', b"[" * 100_000, b'"\\ud800"', b"\xff\x00"]
)
def test_manifest_that_is_none_is_refused(folder: Path, tmp_path: Path, content: bytes) -> None:
    """What is not a manifest of this schema is refused in one line."""
    with pytest.raises(BuildError, match=r"^manifest\.json(:| is not a manifest| was made by a newer)") as caught:
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
