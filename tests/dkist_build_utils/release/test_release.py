"""The release folder."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, FaultsError, export
from harness.packages import Package
from tests.dkist_build_utils.conftest import TASKS, WORKFLOW, instrument

Install = Callable[[Package], str]


ONE_LOCK = {"workflows.main": WORKFLOW.replace(', pip_extras=["quality"]', "")}


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a folder, hidden ones included."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def wheels(tmp_path: Path, task_wheels: Path) -> Path:
    """Return a folder with the wheel of dkist-task, to which a test adds that of its instrument."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for wheel in task_wheels.glob("*.whl"):
        (folder / wheel.name).write_bytes(wheel.read_bytes())
    return folder


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


def test_lock_of_another_release_is_not_kept(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A lock that does not hold this version is a fault that says so, until an upgrade is asked for."""
    package = instrument(**ONE_LOCK)
    package.write_wheel(wheels)
    name = f"{install(package)}.workflows"
    folder = export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])
    lock = folder / "requirements.txt"
    lock.write_text(lock.read_text().replace(f"{package.name}==1.0.0", f"{package.name}==0.9.0"))
    before = contents(folder)
    with pytest.raises(
        FaultsError,
        match=r"requirements\.txt: it is not a lock for this release.* 0\.9\.0, not 1\.0\.0; .*--upgrade-locks",
    ):
        export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])
    assert contents(folder) == before
    export(name, tmp_path / "out", version="1.0.0", find_links=[wheels], upgrade_locks=True)
    assert f"{package.name}==1.0.0" in lock.read_text()


def test_lock_that_lacks_a_requirement_is_not_kept(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A lock from which a requirement was removed is refused."""
    package = instrument(**ONE_LOCK)
    package.write_wheel(wheels)
    name = f"{install(package)}.workflows"
    folder = export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])
    lock = folder / "requirements.txt"
    start = lock.read_text().index("opentelemetry-exporter-otlp-proto-http==")
    end = lock.read_text().index("\nopentelemetry-proto==")
    lock.write_text(lock.read_text()[:start] + lock.read_text()[end + 1 :])
    with pytest.raises(
        FaultsError, match=r"(?s)lacks something; --upgrade-locks: .*opentelemetry-exporter-otlp-proto-http"
    ):
        export(name, tmp_path / "out", version="1.0.0", find_links=[wheels])


def test_dev_locks_the_wheel_that_was_built(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A development release takes the newest wheel found, which may be a development version."""
    package = instrument("1.1.dev3", **ONE_LOCK)
    package.write_wheel(wheels)
    folder = export(f"{install(package)}.workflows", tmp_path, find_links=[wheels])
    assert folder.name == f"{package.name}_dev"
    assert f"{package.name}==1.1.dev3" in (folder / "requirements.txt").read_text()


def test_rebuilt_dev_wheel_asks_for_an_upgrade(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A wheel with other bytes under the same version does not pass for the one that is locked."""
    package = instrument("1.1.dev3", **ONE_LOCK)
    package.write_wheel(wheels)
    name = install(package)
    export(f"{name}.workflows", tmp_path, find_links=[wheels])
    Package(
        package.name, "1.1.dev3", {**package.modules, "more": "X = 1"}, package.dependencies, package.extras
    ).write_wheel(wheels)
    with pytest.raises(FaultsError, match=r"whl has other bytes than the wheel that it locks; .*--upgrade-locks"):
        export(f"{name}.workflows", tmp_path, find_links=[wheels])


@pytest.mark.parametrize("is_built", [True, False], ids=["other-version", "no-wheel"])
def test_missing_wheel_is_reported_once(install: Install, wheels: Path, tmp_path: Path, *, is_built: bool) -> None:
    """If the wheel was not built, one line says which, and what the folder of wheels holds instead."""
    package = instrument("1.0.0")
    if is_built:
        package.write_wheel(wheels)
    held = "1.0.0" if is_built else "no wheel of it"
    with pytest.raises(FaultsError) as caught:
        export(f"{install(package)}.workflows", tmp_path / "out", version="2.0", find_links=[wheels])
    (fault,) = caught.value.faults
    assert str(fault) == (
        f"{package.name}_2.0: the wheel of {package.name} 2.0 is not there: '{wheels}' holds {held}, and the index has "
        "no other; build it first"
    )
    assert not (tmp_path / "out").exists()


def test_requirement_without_a_wheel_is_refused(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A requirement that exists as source only is refused: building it would run its code on the worker."""
    package = instrument(**ONE_LOCK)
    source_only = Package(
        package.name, package.version, package.modules, ["dkist-task", "docopt==0.6.2"], package.extras
    )
    source_only.write_wheel(wheels)
    with pytest.raises(FaultsError, match=r"docopt==0\.6\.2 has no usable wheels"):
        export(f"{install(source_only)}.workflows", tmp_path / "out", version="1.0.0", find_links=[wheels])
    assert not (tmp_path / "out").exists()


def test_task_is_proven_in_its_environment(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A module that is missing from the wheel is found although it can be imported here."""
    package = instrument(tasks=f"import {{package}}.forgotten{TASKS}", forgotten="", **ONE_LOCK)
    name = install(package)
    modules = {module: text for module, text in package.modules.items() if module != "forgotten"}
    Package(package.name, package.version, modules, package.dependencies, package.extras).write_wheel(wheels)
    with pytest.raises(FaultsError, match=rf"'Parse': in an environment made from .*imports '{name}\.forgotten'"):
        export(f"{name}.workflows", tmp_path / "out", version="1.0.0", find_links=[wheels])
    assert not (tmp_path / "out").exists()


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


def test_wheel_of_a_local_version_is_not_the_release(install: Install, wheels: Path, tmp_path: Path) -> None:
    """A wheel of 1.0.0+patched satisfies ==1.0.0 and is another version all the same."""
    package = instrument("1.0.0+patched", **ONE_LOCK)
    package.write_wheel(wheels)
    with pytest.raises(FaultsError, match=r"it holds .* 1\.0\.0\+patched, not 1\.0\.0"):
        export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0", find_links=[wheels])
    assert not (tmp_path / "out").exists()


def test_settings_of_the_user_do_not_get_into_a_lock(
    install: Install, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of uv that write addresses into a lock, and those of a project at hand, have no effect."""
    settings = tmp_path / "uv.toml"
    settings.write_text("[pip]\nemit-index-url = true\nemit-find-links = true\nemit-build-options = true\n")
    monkeypatch.setenv("UV_CONFIG_FILE", str(settings))
    project = tmp_path / "project"
    project.mkdir()
    (project / "uv.toml").write_text('constraint-dependencies = ["opentelemetry-api<1.0"]\n')
    monkeypatch.chdir(project)
    package = instrument(**ONE_LOCK)
    package.write_wheel(wheels)
    folder = export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0", find_links=[wheels])
    assert "://" not in (folder / "requirements.txt").read_text()
    assert str(tmp_path) not in (folder / "requirements.txt").read_text()


def test_python_is_two_numbers(install: Install, tmp_path: Path) -> None:
    """Workers look for an interpreter X.Y: more is refused before it gets into a DAG."""
    with pytest.raises(BuildError, match=r"written as X\.Y, for example 3\.11, not '3\.11\.7'"):
        export(f"{install(instrument())}.workflows", tmp_path, version="1.0.0", lock=False, python="3.11.7")
