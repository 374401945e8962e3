"""What a manifest says of workflows and tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, find_release
from tests.dkist_build_utils.release.conftest import write_archive


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
    said = rf"a\.tar\.gz: manifest\.json: workflow '\w+', task 'Calibrate': {message}"
    with pytest.raises(BuildError, match=said) as caught:
        find_release(path)
    assert "\n" not in str(caught.value)
