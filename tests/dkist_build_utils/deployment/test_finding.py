"""What is deployed, compared with known vulnerabilities in the format of OSV."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dkist_build_utils import BuildError, audit
from tests.dkist_build_utils.deployment.conftest import write_version


@pytest.fixture
def osv(tmp_path: Path) -> Path:
    """Return an empty folder of vulnerabilities."""
    folder = tmp_path / "osv"
    folder.mkdir()
    return folder


def write_osv(
    folder: Path, identifier: str, *affected: dict[str, Any], distribution: str = "numpy", **members: object
) -> Path:
    """Write a vulnerability of a distribution and return its file."""
    rows = [{"package": {"ecosystem": "PyPI", "name": distribution}} | row for row in affected]
    path = folder / f"{identifier}.json"
    path.write_text(json.dumps({"schema_version": "1.7.0", "id": identifier, "affected": rows, **members}))
    return path


def events(*pairs: tuple[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    """Return a row with one range."""
    return {"ranges": [{"type": kind, "events": [{key: value} for key, value in pairs]}]}


@pytest.mark.parametrize(
    ("row", "version", "is_affected", "fixed_in"),
    [
        (events(("introduced", "0"), ("fixed", "1.10")), "1.9", True, "1.10"),
        (events(("introduced", "0"), ("fixed", "1.10")), "1.10", False, None),
        (events(("introduced", "0"), ("fixed", "1.10")), "1.10rc1", True, "1.10"),
        (events(("introduced", "0"), ("fixed", "1.10")), "1.10+local", False, None),
        (events(("introduced", "1.5")), "1.4", False, None),
        (events(("introduced", "1.5")), "1.5", True, None),
        (events(("introduced", "1"), ("last_affected", "1.5")), "1.5", True, None),
        (events(("introduced", "1"), ("last_affected", "1.5")), "1.5.1", False, None),
        (events(("fixed", "3"), ("introduced", "2"), ("fixed", "1"), ("introduced", "0")), "1.5", False, None),
        (events(("fixed", "3"), ("introduced", "2"), ("fixed", "1"), ("introduced", "0")), "2.5", True, "3"),
        (events(("introduced", "0"), ("limit", "2")), "2.1", False, None),
        (events(("introduced", "0"), ("limit", "*")), "2.1", True, None),
        ({"versions": ["1.5.0", "2004d"]}, "1.5", True, None),
        ({"versions": ["1.6"]}, "1.5", False, None),
        ({"versions": ["1.5"]} | events(("introduced", "9")), "1.5", True, None),
    ],
)
def test_versions_are_judged_as_the_schema_says(
    dags: Path, osv: Path, row: dict[str, Any], version: str, *, is_affected: bool, fixed_in: str | None
) -> None:
    """Ranges and lists of versions are read as OSV defines them, ordered as Python's versions are."""
    write_version(dags, "a_1", [f"numpy=={version}"])
    write_osv(osv, "PYSEC-1", row)
    result = audit(dags, osv)
    assert [(each.version, each.fixed_in) for each in result.findings] == ([(version, fixed_in)] if is_affected else [])
    assert result.is_clean is not is_affected


def test_every_deployed_version_is_named(dags: Path, osv: Path) -> None:
    """A finding names the vulnerability once for each locked version, with all deployed versions that hold it."""
    for name, pin in {"a_1": "numpy==1", "a_2": "numpy==1", "b_1": "numpy==2", "c_1": "numpy==3"}.items():
        write_version(dags, name, [pin, "zarr==1"])
    row = events(("introduced", "0"), ("fixed", "3"))
    write_osv(osv, "PYSEC-1", row, {"versions": ["1"]}, distribution="NumPy", aliases=["CVE-1"], summary="Bad.")
    write_osv(osv, "PYSEC-2", row, distribution="scipy")
    result = audit(dags, osv)
    assert [(each.version, each.deployed, each.fixed_in) for each in result.findings] == [
        ("1", ("a_1", "a_2"), "3"),
        ("2", ("b_1",), "3"),
    ]
    assert result.findings[0].aliases == ("CVE-1",)
    assert result.findings[0].summary == "Bad."


def test_what_does_not_concern_python_is_passed_over(dags: Path, osv: Path) -> None:
    """Withdrawn vulnerabilities and those of other ecosystems are not counted against a version."""
    write_version(dags, "a_1", ["numpy==1"])
    row = events(("introduced", "0"))
    write_osv(osv, "PYSEC-1", row, withdrawn="2026-01-01T00:00:00Z")
    write_osv(osv, "GO-1", row | {"package": {"ecosystem": "Go", "name": "numpy"}})
    write_osv(osv, "GO-2", {"package": {"ecosystem": "Go", "name": "numpy"}, "ranges": [{"type": "SEMVER"}]})
    result = audit(dags, osv)
    assert result.is_clean
    assert result.read == 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        b'{"id": 1}',
        b'{"id": "X", "affected": 1}',
        b'{"id": "X", "affected": [1]}',
        b'{"id": "X", "affected": [{"package": {"ecosystem": "PyPI"}}]}',
        b'{"id": "X", "affected": [{"package": {"ecosystem": "PyPI", "name": "a"}, "ranges": [{}]}]}',
        b'{"id": "X", "affected": [{"package": {"ecosystem": "PyPI", "name": "a"}, "versions": [1]}]}',
    ],
)
def test_broken_file_is_named(dags: Path, osv: Path, content: bytes) -> None:
    """A file that is not in the format is named in one line, and no audit with one is clean."""
    write_version(dags, "a_1", ["numpy==1"])
    write_osv(osv, "PYSEC-1", events(("introduced", "5")))
    (osv / "broken.json").write_bytes(content)
    result = audit(dags, osv)
    ((path, reason),) = ((each.path, each.reason) for each in result.broken)
    assert path == osv / "broken.json"
    assert "is not in the format of OSV" in reason
    assert "\n" not in reason
    assert not result.is_clean
    assert result.read == 1


def test_file_that_cannot_be_checked_is_named(dags: Path, osv: Path) -> None:
    """Commits instead of versions, or versions that Python does not know, matter if the distribution is deployed."""
    write_version(dags, "a_1", ["numpy==1"])
    for name, row in {"A": events(("introduced", "0"), kind="GIT"), "B": events(("introduced", "1st"))}.items():
        write_osv(osv, f"{name}-1", row)
        write_osv(osv, f"{name}-2", row, distribution="scipy")
    result = audit(dags, osv)
    assert {each.path.name: each.reason for each in result.broken} == {
        "A-1.json": "A-1 names no versions of numpy, which is deployed",
        "B-1.json": "B-1, numpy: Invalid version: '1st'",
    }


def test_pipe_among_vulnerabilities_is_named(dags: Path, osv: Path) -> None:
    """An audit never waits for a writer."""
    os.mkfifo(osv / "pipe.json")
    assert [each.reason for each in audit(dags, osv).broken] == ["it cannot be read: it is not a regular file"]


def test_version_that_nobody_knows_is_not_clean(dags: Path, osv: Path) -> None:
    """A release without locks may hold anything."""
    write_version(dags, "a_1", None)
    write_osv(osv, "PYSEC-1", events(("introduced", "0")))
    result = audit(dags, osv)
    assert [each.name for each in result.unknown] == ["a_1"]
    assert not result.is_clean


def test_folder_without_vulnerabilities_is_refused(dags: Path, osv: Path) -> None:
    """An empty folder proves nothing."""
    for folder in (osv, osv / "gone"):
        with pytest.raises(BuildError, match=r"holds no \*\.json file"):
            audit(dags, folder)


def test_command_prints_a_table_and_says_1(dags: Path, osv: Path) -> None:
    """The exit status is 1 if anything was found, 0 if all could be checked and nothing was."""
    write_version(dags, "a_1", ["numpy==1"])
    file = write_osv(osv, "PYSEC-1", events(("introduced", "0"), ("fixed", "2")))
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "dkist_build_utils",
        "audit",
        "--dags-folder",
        dags,
        "--vulnerabilities",
        osv,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].split() == ["PYSEC-1", "numpy", "1", "2", "a_1"]
    assert "1 file checked, 0 not; 1 finding" in done.stderr
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["findings"][0]["deployed"] == ["a_1"]
    file.write_text(file.read_text().replace("numpy", "scipy"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
