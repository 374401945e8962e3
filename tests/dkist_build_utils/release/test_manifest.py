"""The manifest: what is read, what is refused; its JSON objects and rows included."""

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


@pytest.mark.parametrize("key", ["name", "entry_point", "queue", "pip_extras", "upstreams"])
def test_name_that_is_more_than_a_name_is_refused(folder: Path, tmp_path: Path, key: str) -> None:
    """No name reaches a terminal, a command or a file of requirements as anything else."""
    manifest = json.loads((folder / "manifest.json").read_text())
    task = manifest["workflows"][0]["tasks"][0]
    bad = "a]\n--index-url http://127.0.0.1/\x1b[2J"
    task[key] = [bad] if isinstance(task[key], list) else bad
    path = write_archive(tmp_path / "a.tar.gz", folder, manifest__json=json.dumps(manifest).encode())
    with pytest.raises(BuildError, match="is not a name") as caught:
        find_release(path)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lock", [], r"'lock': \[\] is not a name"),
        ("pool", 3, "'pool': 3 is not a name"),
        ("upstreams", "Parse", "'upstreams': 'Parse' is not a list"),
        ("retries", "many", "retries must be an integer"),
        ("timeout_seconds", [], "timeout_seconds must be"),
    ],
)
def test_wrong_member_is_named_with_its_task(
    folder: Path, tmp_path: Path, key: str, value: object, message: str
) -> None:
    """A member of another form is refused in one line that names workflow, task and member."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["workflows"][0]["tasks"][1][key] = value
    path = write_archive(tmp_path / "a.tar.gz", folder, manifest__json=json.dumps(manifest).encode())
    with pytest.raises(BuildError, match=rf"^manifest\.json: workflow '\w+', task 'Calibrate': {message}") as caught:
        find_release(path)
    assert "\n" not in str(caught.value)


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
