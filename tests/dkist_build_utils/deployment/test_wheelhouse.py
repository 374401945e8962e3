"""Wheels travel in the release, lie beside the dags folder, and are all that a worker needs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, archive, deploy, deployed_versions, export, undeploy
from harness.packages import OWN_PROJECTS, Package, build_wheels
from tests.dkist_build_utils.conftest import Install, instrument

TALKATIVE = """
from dkist_task import TaskBase

class Parse(TaskBase):
    def run(self):
        print("no network was needed")

class Calibrate(Parse): ...

class Assemble(Parse): ...
"""

Pack = Callable[[Package], Path]


@pytest.fixture
def house(dags: Path) -> Path:
    """Return where the wheelhouse of the dags folder will be."""
    return dags.parent / ".dags.dkist-wheels"


@pytest.fixture
def pack(install: Install, offline: Path, tmp_path: Path) -> Pack:
    """Return a function that packs a package's release with its wheels."""

    def pack_package(package: Package) -> Path:
        package.write_wheel(offline)
        workflows = f"{install(package)}.workflows"
        return archive(export(workflows, tmp_path / "out", version=package.version, wheelhouse=True))

    return pack_package


def folder_of(packed: Path) -> Path:
    """Return the release folder that an archive was made from."""
    return packed.with_name(packed.name.removesuffix(".tar.gz"))


def content_names(house: Path) -> set[str]:
    """Return the digests of the wheels in a wheelhouse."""
    return {path.name for path in (house / "content").iterdir()}


def test_wheels_are_in_the_wheelhouse_once(pack: Pack, dags: Path, house: Path) -> None:
    """Two versions share what both lock; no wheel lies in the dags folder, and no index is asked."""
    first, second = pack(instrument()), pack(instrument())
    for packed in (first, second):
        path = deploy(packed, dags, airflow=False).path
        assert {each.name for each in path.iterdir()} == {each.name for each in folder_of(packed).iterdir()} - {
            "wheels"
        }
    assert len(content_names(house)) == 3  # dkist-task once, and two instruments
    assert (
        len([path for path in house.iterdir() if len(path.name) == 64]) == 2
    )  # the two locks of each have the same bytes
    assert [version.needs_network for version in deployed_versions(dags)] == [False, False]
    before = {path: path.stat().st_mtime_ns for path in house.rglob("*.whl")}
    assert not deploy(first, dags, airflow=False).is_new
    assert {path: path.stat().st_mtime_ns for path in house.rglob("*.whl")} == before


def test_undeploy_removes_what_nobody_needs(pack: Pack, dags: Path, house: Path) -> None:
    """Wheels go with the last version that needs them, even where another version is damaged."""
    first, second = (deploy(pack(instrument()), dags, airflow=False).path for _ in range(2))
    (second / "manifest.json").write_text("{}")
    undeploy(first.name, dags, force=True)
    assert len(content_names(house)) == 2
    shutil.rmtree(second)
    deploy(pack(instrument()), dags, airflow=False)
    assert len(content_names(house)) == 2
    undeploy(next(dags.iterdir()).name, dags, force=True)
    assert {path.name for path in house.iterdir()} == {"dags-folder", "content"}
    assert content_names(house) == set()


def test_version_without_wheels_needs_the_network(
    pack: Pack, install: Install, offline: Path, dags: Path, house: Path, tmp_path: Path
) -> None:
    """`list` says which versions build from an index: those without wheels, and those whose wheels are gone."""
    plain = instrument()
    plain.write_wheel(offline)
    deploy(archive(export(f"{install(plain)}.workflows", tmp_path / "out", version="1.0.0")), dags, airflow=False)
    assert not house.exists()
    packed = pack(instrument())
    deploy(packed, dags, airflow=False)
    assert [version.needs_network for version in deployed_versions(dags)] == [True, False]
    shutil.rmtree(next(path for path in house.iterdir() if len(path.name) == 64))
    assert [version.needs_network for version in deployed_versions(dags)] == [True, True]
    assert not deploy(packed, dags, airflow=False).is_new
    assert [version.needs_network for version in deployed_versions(dags)] == [True, False]


def test_damaged_wheel_is_replaced_by_the_next_deploy(pack: Pack, dags: Path, house: Path) -> None:
    """A wheel whose bytes changed in the wheelhouse is not shared with another version."""
    packed = pack(instrument())
    deploy(packed, dags, airflow=False)
    damaged = next(house.glob("*/dkist_task-*.whl"))
    whole = damaged.read_bytes()
    damaged.write_bytes(b"x" + whole[1:])
    deploy(packed, dags, airflow=False)
    assert {path.read_bytes() for path in house.glob("*/dkist_task-*.whl")} == {whole}
    assert not list(house.glob("**/*.partial"))


def test_wheelhouse_belongs_to_one_dags_folder(
    pack: Pack, dags: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site names the wheelhouse; one in the dags folder or of another dags folder is refused."""
    packed = pack(instrument())
    with pytest.raises(BuildError, match="is in the dags folder, where Airflow takes every wheel for DAGs"):
        deploy(packed, dags, airflow=False, wheelhouse=dags / "wheels")
    monkeypatch.setenv("DKIST_WHEELHOUSE", str(tmp_path / "shared"))
    deploy(packed, dags, airflow=False)
    assert (tmp_path / "shared" / "content").is_dir()
    other = tmp_path / "other" / "dags"
    other.mkdir(parents=True)
    with pytest.raises(BuildError, match="belongs to the dags folder"):
        deploy(packed, other, airflow=False)
    assert list(other.iterdir()) == []


def test_two_deploys_at_once_leave_both_whole(pack: Pack, dags: Path, house: Path) -> None:
    """Deploys of two versions that share wheels end well together."""
    packed = [pack(instrument()), pack(instrument())]
    command = [sys.executable, "-m", "dkist_build_utils", "deploy", "--no-airflow", "--dags-folder", str(dags)]
    processes = [subprocess.Popen([*command, str(each)], stderr=subprocess.PIPE, text=True) for each in packed]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert [version.needs_network for version in deployed_versions(dags)] == [False, False]
    assert len(content_names(house)) == 3


def without_network(command: Sequence[str | Path], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program in a network namespace of its own, which has no route to anywhere."""
    return subprocess.run(
        ["unshare", "--net", *map(str, command)], env=environ, capture_output=True, text=True, check=False, timeout=300
    )


RUN = """
import json, os, sys

from dkist_airflow_node.worker import run_runner
print(run_runner("run", {**os.environ, **json.loads(sys.argv[1])}, print))
"""


@pytest.mark.service
@pytest.mark.timeout(600)
def test_network_is_not_needed(install: Install, dags: Path, tmp_path: Path) -> None:
    """Without a network and with empty caches, deploy, prebuild and the first task succeed; a damaged wheel is refused.

    Needs root, for a network namespace without routes.
    """
    package = instrument(tasks=TALKATIVE)
    wheels = tmp_path / "published"
    build_wheels(wheels, OWN_PROJECTS[:1])
    package.write_wheel(wheels)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = install(package)
    folder = export(f"{name}.workflows", tmp_path / "out", version="1.0.0", find_links=[wheels], wheelhouse=True)
    packed = archive(folder)
    shutil.rmtree(wheels)
    (tmp_path / "home").mkdir()
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"PATH": programs, "HOME": str(tmp_path / "home"), "DKIST_ENVIRONMENT_STORE": str(tmp_path / "store")}
    connect = "import socket; socket.create_connection(('192.0.2.1', 53), 2)"
    assert "Network is unreachable" in without_network([sys.executable, "-c", connect], environ).stderr
    command: list[str | Path] = [sys.executable, "-m", "dkist_build_utils", "deploy", packed, "--no-airflow"]
    command += ["--dags-folder", dags]
    done = without_network(command, environ)
    assert done.returncode == 0, done.stderr
    release = Path(done.stdout.strip())
    command = [sys.executable, "-m", "dkist_airflow_node", "environments", "prebuild", release]
    house = dags.parent / ".dags.dkist-wheels"
    wheel = next(house.glob("*/instrument*.whl"))
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:10] + bytes([whole[10] ^ 1]) + whole[11:])  # a time in the zip file: nothing but the hash
    done = without_network(command, environ)
    assert done.returncode == 1
    assert f"Hash mismatch for `{package.name}==1.0.0`" in done.stdout + done.stderr
    wheel.write_bytes(whole)
    done = without_network(command, environ)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(tmp_path / "store")
    shutil.rmtree(tmp_path / "home")
    (tmp_path / "home").mkdir()
    lock = release / "requirements.txt"
    variables = {
        "DKIST_TASK": f"{name}.tasks:Parse",
        "DKIST_LOCK": str(lock),
        "DKIST_LOCK_SHA256": hashlib.sha256(lock.read_bytes()).hexdigest(),
        "DKIST_PYTHON": python,
        "DKIST_WORKFLOW_NAME": "w",
        "DKIST_WORKFLOW_VERSION": "1.0.0",
        "DKIST_RECIPE_RUN_ID": "1",
        "DKIST_TRY_NUMBER": "1",
    }
    done = without_network([sys.executable, "-c", RUN, json.dumps(variables)], environ)
    assert "no network was needed" in done.stdout, done.stderr
    assert "result='success'" in done.stdout
    assert f"installing the wheels in {house}" in done.stdout


def test_wheels_are_readable_whatever_the_umask(pack: Pack, dags: Path, tmp_path: Path) -> None:
    """Workers of another user reach the wheels, also where folders above them had to be made."""
    packed = pack(instrument())
    before = os.umask(0o077)
    try:
        deploy(packed, dags, airflow=False, wheelhouse=tmp_path / "new" / "deeper" / "house")
    finally:
        os.umask(before)
    found = [tmp_path / "new", *(tmp_path / "new").rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in found if path.is_dir()} == {0o755}
    assert {path.stat().st_mode & 0o777 for path in found if path.is_file()} == {0o644}
