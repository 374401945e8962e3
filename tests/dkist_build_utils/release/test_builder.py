"""The release folder."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, export
from tests.dkist_build_utils.conftest import ONE_LOCK, Install, contents, instrument


def test_release_holds_what_the_contract_says(
    install: Install, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release has a file a workflow, a lock for each set of extras, the pools, and a manifest that is true."""
    monkeypatch.setenv("UV_CONSTRAINT", "no-such-file.txt")  # hatch's environments have one, and it must not leak in
    package = instrument("1.0.0rc1")
    package.write_wheel(wheels)
    folder = export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0-rc.1", find_links=[wheels])
    assert folder == tmp_path / "out" / f"{package.name}_1.0.0-rc.1"
    dag_id = f"{package.import_name}_main_1.0.0-rc.1"
    files = contents(folder)
    assert files.keys() == {
        f"{dag_id}.py",
        "requirements.txt",
        "requirements.quality.txt",
        "pools.json",
        "sbom.cdx.json",
        "manifest.json",
    }
    manifest = json.loads(files["manifest.json"])
    assert manifest["files"] == {
        name: sha256(content).hexdigest() for name, content in files.items() if name != "manifest.json"
    }
    assert manifest["locks"] == {"requirements.quality.txt": ["quality"], "requirements.txt": []}
    assert manifest["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    (workflow,) = manifest["workflows"]
    assert [(task["name"], task["upstreams"], task["lock"]) for task in workflow["tasks"]] == [
        ("Parse", [], "requirements.txt"),
        ("Calibrate", ["Parse"], "requirements.txt"),
        ("Assemble", ["Parse", "Calibrate"], "requirements.quality.txt"),
    ]
    assert json.loads(files["pools.json"]).keys() == {"high_memory_pool"}
    lock = files["requirements.txt"].decode()
    assert f"{package.name}==1.0.0rc1 \\\n    --hash=sha256:" in lock
    assert "dkist-task==" in lock
    assert "opentelemetry-exporter-otlp-proto-http==" in lock
    assert not any(text in lock for text in ("#", "://", str(tmp_path), "--index-url", "--find-links"))
    assert sha256(files["requirements.txt"]).hexdigest() in files[f"{dag_id}.py"].decode()
    ast.parse(files[f"{dag_id}.py"])


def test_same_release_again_is_the_same_bytes_and_keeps_its_locks(
    install: Install, wheels: Path, tmp_path: Path
) -> None:
    """With its locks there, a release is made again to the same bytes, whatever the index has by then."""
    package = instrument(**ONE_LOCK)
    package.write_wheel(wheels)
    name = f"{install(package)}.workflows"
    folder = export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])
    # No resolver would write it so: only a lock that is kept still has it.
    lock = folder / "requirements.txt"
    lock.write_text(lock.read_text() + "\n")
    export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])
    assert lock.read_text().endswith("\n\n")
    before = contents(folder)
    assert contents(export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])) == before
    out, links = str(tmp_path / "out"), str(wheels)
    code = f"from dkist_build_utils import export; export({name!r}, {out!r}, find_links=[{links!r}])"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        cwd="/",
        env=os.environ | {"PYTHONHASHSEED": "7", "BUILD_VERSION": "1.0.0", "PYTHONPATH": str(tmp_path / "site")},
    )
    assert contents(folder) == before


def test_without_locks_says_what_is_given_up(
    install: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A release without locks needs no index, and a warning says what is given up."""
    package = instrument(**ONE_LOCK)
    folder = export(f"{install(package)}.workflows", tmp_path, version="1.0.0", lock=False)
    assert not list(folder.glob("requirements*"))
    assert f"'{package.name}==1.0.0'" in next(folder.glob("*.py")).read_text()
    assert "no locks: workers will install whatever" in caplog.text
    assert all(
        task["lock"] is None for task in json.loads((folder / "manifest.json").read_text())["workflows"][0]["tasks"]
    )


def test_version_that_came_too_late_is_refused(install: Install, tmp_path: Path) -> None:
    """Workflows that were imported with another version are not released as this one."""
    name = install(instrument(**ONE_LOCK))
    export(f"{name}.workflows", tmp_path, version="1.0.0", lock=False)
    with pytest.raises(BuildError, match=r"have version '1\.0\.0', not '2\.0\.0'"):
        export(f"{name}.workflows", tmp_path, version="2.0.0", lock=False)


def test_other_python_than_the_locks_is_refused(install: Install, wheels: Path, tmp_path: Path) -> None:
    """Locks for one Python are not kept for another."""
    package = instrument(**ONE_LOCK)
    package.write_wheel(wheels)
    name = f"{install(package)}.workflows"
    export(name, tmp_path, version="1.0.0", find_links=[wheels])
    with pytest.raises(BuildError, match=r"the locks in .* were made for Python .*--upgrade-locks"):
        export(name, tmp_path, version="1.0.0", find_links=[wheels], python="3.14")


def test_folder_of_somebody_else_is_not_replaced(install: Install, tmp_path: Path) -> None:
    """A folder of the release's name that is no release folder stays as it is."""
    package = instrument(**ONE_LOCK)
    mine = tmp_path / f"{package.name}_1.0.0" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("years of work")
    with pytest.raises(BuildError, match="is in the way: it is not a release folder"):
        export(f"{install(package)}.workflows", tmp_path, version="1.0.0", lock=False)
    assert mine.read_text() == "years of work"


def test_python_is_two_numbers(install: Install, tmp_path: Path) -> None:
    """Workers look for an interpreter X.Y: more is refused before it gets into a DAG."""
    with pytest.raises(BuildError, match=r"must be a version 3\.Y, for example 3\.11 or 3\.13, not '3\.11\.7'"):
        export(f"{install(instrument())}.workflows", tmp_path, version="1.0.0", lock=False, python="3.11.7")


@pytest.mark.parametrize(("option", "program"), [("wheelhouse", "programs.pip"), ("notebook", "release.notebook")])
def test_extra_that_is_missing_is_told_first(
    option: str, program: str, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made that would lack what was asked for."""
    monkeypatch.setattr(f"dkist_build_utils.{program}.find_spec", lambda _: None)
    with pytest.raises(BuildError, match=rf"install 'dkist-build-utils\[{option}\]'$"):
        export(f"{install(instrument())}.workflows", tmp_path / "out", **{option: True})  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
