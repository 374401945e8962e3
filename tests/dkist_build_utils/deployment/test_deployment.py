"""Versions appear in the dags folder, and disappear from it, as a whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dkist_build_utils import (
    BuildError,
    SignatureError,
    archive,
    deploy,
    deployed_versions,
    export,
    undeploy,
    verify,
)
from dkist_build_utils.release.signature import signed
from harness.packages import Package
from tests.dkist_build_utils.conftest import WORKFLOW, Install, contents, instrument
from tests.dkist_build_utils.keys import Keys, make_key


def changed(packed: Path) -> Path:
    """Return an archive of the same version with other bytes."""
    folder = packed.parent / packed.name.removesuffix(".tar.gz")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["made_with"]["dkist-task"] = "0.0.9"
    other = packed.parent / "other" / folder.name
    shutil.copytree(folder, other)
    (other / "manifest.json").write_text(json.dumps(manifest))
    return archive(other)


def command(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start dkist-build."""
    return subprocess.Popen(
        [sys.executable, "-m", "dkist_build_utils", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_version_comes_in_whole(packed: Path, dags: Path) -> None:
    """A deployed version is its release folder; deploying the same bytes again changes nothing."""
    done = deploy(packed, dags, airflow=False)
    assert done.is_new
    assert done.pools_needed == ("high_memory_pool",)
    folder = packed.parent / packed.name.removesuffix(".tar.gz")
    assert contents(done.path) == contents(folder)
    assert done.path.stat().st_mode & 0o777 == 0o777 & ~_umask()
    before = done.path.stat()
    (done.path / "__pycache__").mkdir()  # Airflow makes one
    assert not deploy(packed, dags, airflow=False).is_new
    assert done.path.stat().st_ino == before.st_ino
    assert [path.name for path in dags.iterdir()] == [folder.name]
    assert [path.name for path in (dags.parent / ".dags.dkist-deploy").iterdir()] == ["lock"]


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_other_bytes_of_a_version_are_refused(packed: Path, dags: Path) -> None:
    """A version that is deployed is never changed."""
    path = deploy(packed, dags, airflow=False).path
    before = contents(path)
    with pytest.raises(BuildError, match="is there with other bytes; a deployed version is never changed"):
        deploy(changed(packed), dags, airflow=False)
    assert contents(path) == before


def test_dag_id_of_another_release_is_refused(install: Install, offline: Path, tmp_path: Path, dags: Path) -> None:
    """Two releases with one DAG id would be shown by Airflow by chance."""
    first, second = instrument(), instrument(**{"workflows.main": ""})
    for package in (first, second):
        package.write_wheel(offline)
    one = install(first)
    source = WORKFLOW.replace('"{package}", "main"', f'"{one}", "main"').replace("{package}", second.import_name)
    second = Package(second.name, second.version, {**second.modules, "workflows.main": source}, ["dkist-task"])
    second = Package(second.name, second.version, second.modules, second.dependencies, {"quality": []})
    other = export(f"{install(second)}.workflows", tmp_path / "out", version="1.0.0")
    deploy(archive(export(f"{one}.workflows", tmp_path / "out", version="1.0.0")), dags, airflow=False)
    with pytest.raises(BuildError, match=rf"DAG id '{one}_main_1\.0\.0' is deployed already, in {first.name}_1\.0\.0"):
        deploy(archive(other), dags, airflow=False)


def test_code_that_is_not_published_is_refused(packed: Path, dags: Path, offline: Path) -> None:
    """Code first, then DAGs: a lock that the index cannot satisfy keeps the version out."""
    (wheel,) = offline.glob("instrument_*.whl")
    wheel.unlink()
    with pytest.raises(BuildError, match=r"requirements\.txt: the index cannot satisfy it; publish the code first: "):
        deploy(packed, dags, airflow=False)
    assert list(dags.iterdir()) == []


def test_published_code_with_other_bytes_is_refused(packed: Path, dags: Path, offline: Path) -> None:
    """A wheel on the index that is not the one that was locked keeps the version out, naming it."""
    (wheel,) = offline.glob("instrument_*.whl")
    name = wheel.name.partition("-")[0]
    package = Package(name.replace("_", "-"), modules={"other": "X = 1"}, dependencies=["dkist-task"])
    fresh = offline.parent / "fresh"  # uv knows the bytes that were in the other folder
    fresh.mkdir()
    package.write_wheel(fresh)
    for other in offline.glob("dkist_task*.whl"):
        shutil.copy(other, fresh)
    os.environ["UV_FIND_LINKS"] = str(fresh)  # put back by the fixture
    with pytest.raises(BuildError, match=rf"(?s)the index cannot satisfy it.*[Hh]ash mismatch for.*{package.name}"):
        deploy(packed, dags, airflow=False)
    assert list(dags.iterdir()) == []


def test_dags_folder_on_its_own_file_system_is_refused(packed: Path) -> None:
    """Where no rename can bring a version in, nothing is tried; the message names the file system."""
    mounted = Path("/dev/shm")
    with pytest.raises(BuildError, match="another file system"):
        deploy(packed, mounted, airflow=False)
    assert not (mounted / packed.name.removesuffix(".tar.gz")).exists()
    assert not mounted.with_name(".shm.dkist-deploy").exists()


def test_two_deploys_at_once(packed: Path, dags: Path) -> None:
    """Of two deploys of the same bytes both succeed; of different bytes one does; one whole version is there."""
    arguments = ("--dags-folder", dags, "--no-airflow")
    two = [command("deploy", packed, *arguments) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in two]
    assert [process.returncode for process in two] == [0, 0], said
    assert sum("already" in text for text in said) == 1
    (version,) = deployed_versions(dags)
    assert version.damage is None
    undeploy(version.name, dags, force=True)
    two = [command("deploy", each, *arguments) for each in (packed, changed(packed))]
    said = [process.communicate(timeout=120)[1] for process in two]
    assert sorted(process.returncode for process in two) == [0, 1], said
    assert any("other bytes" in text for text in said)
    assert [each.damage for each in deployed_versions(dags)] == [None]


def test_killed_deploy_leaves_all_or_nothing(packed: Path, dags: Path) -> None:
    """Whenever a deploy is killed, one whole version is there or none, and the next deploy cleans up."""
    started = time.monotonic()
    command("deploy", packed, "--dags-folder", dags, "--no-airflow").communicate(timeout=120)
    taken = time.monotonic() - started
    name = deployed_versions(dags)[0].name
    for part in range(1, 9):
        undeploy(name, dags, force=True)
        process = command("deploy", packed, "--dags-folder", dags, "--no-airflow")
        time.sleep(taken * part / 9)
        process.kill()
        process.communicate()
        assert [each.damage for each in deployed_versions(dags)] in ([], [None])
        deploy(packed, dags, airflow=False)
        assert [path.name for path in dags.iterdir()] == [name]
        assert [path.name for path in (dags.parent / ".dags.dkist-deploy").iterdir()] == ["lock"]


def test_leftover_of_a_killed_deploy_is_removed(packed: Path, dags: Path) -> None:
    """What a killed deploy left where versions are unpacked is removed by the next one."""
    leftover = dags.parent / ".dags.dkist-deploy" / ".x.partial" / "half.py"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half")
    deploy(packed, dags, airflow=False)
    assert not leftover.parent.exists()


def test_list_shows_age_size_and_damage(packed: Path, dags: Path) -> None:
    """A version has DAGs, age and size; what was changed by hand is damaged; other files are not listed."""
    path = deploy(packed, dags, airflow=False).path
    (dags / "handmade.py").write_text("")
    (dags / "others").mkdir()
    (version,) = deployed_versions(dags)
    assert version.name == path.name
    assert len(version.dag_ids) == 1
    assert version.size_bytes == sum(map(len, contents(path).values()))
    assert abs(version.deployed_at - time.time()) < 60
    (path / "pools.json").write_text("{}")
    (version,) = deployed_versions(dags)
    assert "pools.json: its SHA-256" in str(version.damage)
    with pytest.raises(BuildError, match="is there and damaged"):
        deploy(packed, dags, airflow=False)


def test_undeploy_without_airflow_needs_force(packed: Path, dags: Path) -> None:
    """Without an Airflow to ask for active runs, a version is removed by force only."""
    path = deploy(packed, dags, airflow=False).path
    with pytest.raises(BuildError, match="use --force if they have"):
        undeploy(path.name, dags, airflow=False)
    assert undeploy(path.name, dags, force=True) == path
    assert list(dags.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../dags", "others", "handmade.py"])
def test_undeploy_removes_versions_only(dags: Path, name: str) -> None:
    """What is not a deployed version is never removed."""
    (dags / "others").mkdir()
    (dags / "handmade.py").write_text("")
    with pytest.raises(BuildError, match="is not a version deployed in"):
        undeploy(name, dags, force=True)
    assert sorted(path.name for path in dags.iterdir()) == ["handmade.py", "others"]


def test_airflow_gets_its_pools_and_keeps_its_runs(
    packed: Path, dags: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a real Airflow: a missing pool is created, one that exists stays, and an active run keeps its version."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(dags))
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    with pytest.raises(BuildError, match=r"was never set up.*airflow db migrate.*--no-airflow"):
        deploy(packed, dags)
    assert list(dags.iterdir()) == []
    _airflow("db", "migrate")
    done = deploy(packed, dags)
    assert done.pools_created == ("high_memory_pool",)
    _airflow("pools", "set", "high_memory_pool", "7", "mine")
    assert deploy(packed, dags).pools_created == ()
    pools = {pool["pool"]: pool["slots"] for pool in json.loads(_airflow("pools", "list", "--output", "json"))}
    assert pools["high_memory_pool"] == "7"
    (dag_id,) = deployed_versions(dags)[0].dag_ids
    _airflow("dags", "reserialize")
    _airflow("dags", "trigger", dag_id, "--run-id", "night", "--conf", '{"recipe_run_id": 1}')
    with pytest.raises(BuildError, match=rf"has active runs in the Airflow of .*: {dag_id} night \(queued\); wait"):
        undeploy(done.path.name, dags)
    assert done.path.is_dir()
    assert undeploy(done.path.name, dags, force=True) == done.path


def _airflow(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_manifest_of_a_newer_version_stops_a_deploy(packed: Path, dags: Path) -> None:
    """DAG ids that this version cannot read might be the same, so nothing is deployed beside them."""
    newer = dags / "other_9.0.0"
    newer.mkdir()
    (newer / "manifest.json").write_text('{"schema": 2}')
    with pytest.raises(BuildError, match=r"other_9\.0\.0 was deployed by a newer version of dkist-build-utils"):
        deploy(packed, dags, airflow=False)
    assert [path.name for path in dags.iterdir()] == ["other_9.0.0"]


def test_broken_manifests_block_no_other_version(packed: Path, dags: Path) -> None:
    """Manifests that were broken by hand are listed with their damage, and other versions come and go."""
    for name in ("folder", "list"):
        (dags / name).mkdir()
    (dags / "folder" / "manifest.json").mkdir()
    (dags / "list" / "manifest.json").write_text("[]")
    path = deploy(packed, dags, airflow=False).path
    damages = {version.name: version.damage for version in deployed_versions(dags)}
    assert "folder/manifest.json cannot be read: Is a directory" in str(damages["folder"])
    assert "manifest.json is not a manifest" in str(damages["list"])
    assert damages[path.name] is None
    undeploy(path.name, dags, force=True)
    with pytest.raises(BuildError, match="Is a directory, so nobody knows its DAGs; use --force if"):
        undeploy("folder", dags, airflow=True)
    for name in ("folder", "list"):
        undeploy(name, dags, force=True)
    assert list(dags.iterdir()) == []


def test_signature_is_required_by_option_or_by_the_site(
    packed: Path, dags: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unsigned release is refused where a signature is required; a signed one comes in with its signature."""
    with pytest.raises(SignatureError, match="is not signed, and a signature is required"):
        deploy(packed, dags, airflow=False, require_signature=keys.allowed)
    monkeypatch.setenv("DKIST_REQUIRED_SIGNERS", str(keys.allowed))
    with pytest.raises(SignatureError, match="is not signed, and a signature is required"):
        deploy(packed, dags, airflow=False)
    monkeypatch.setenv("DKIST_REQUIRED_SIGNERS", str(keys.allowed.with_name("gone")))
    with pytest.raises(BuildError, match="gone' is missing, so no signature can be checked"):
        deploy(packed, dags, airflow=False)
    monkeypatch.delenv("DKIST_REQUIRED_SIGNERS")
    assert list(dags.iterdir()) == []
    archive(packed.with_name(packed.name.removesuffix(".tar.gz")), sign_with=keys.private)
    path = deploy(packed, dags, airflow=False, require_signature=keys.allowed).path
    found = verify(path, require_signature=keys.allowed).signature
    assert found is not None
    assert found.signers == ("builder@example.org",)
    assert [version.damage for version in deployed_versions(dags)] == [None]


def test_signature_that_does_not_fit_is_refused(packed: Path, dags: Path, keys: Keys) -> None:
    """The signature of another release is refused, also where none is required."""
    folder = packed.with_name(packed.name.removesuffix(".tar.gz"))
    (folder / "manifest.json.sig").write_bytes(signed(b"another", keys.private))
    with pytest.raises(SignatureError, match="the signature is not one of this manifest"):
        deploy(archive(folder), dags, airflow=False)
    assert list(dags.iterdir()) == []


def test_key_is_changed_without_a_new_version(packed: Path, dags: Path, keys: Keys, tmp_path: Path) -> None:
    """The same release, signed with a newer key, gets that signature where it is; nothing else of it changes."""
    folder = packed.with_name(packed.name.removesuffix(".tar.gz"))
    path = deploy(packed, dags, airflow=False).path
    newer = make_key(tmp_path / "newer", "newer@example.org")
    for each in (keys, newer):
        archive(folder, sign_with=each.private)
        assert not deploy(packed, dags, airflow=False, require_signature=each.allowed).is_new
        assert contents(path) == contents(folder)
    archive(folder, sign_with=keys.private)
    deploy(packed, dags, airflow=False)
    assert verify(path, require_signature=newer.allowed).signature is not None


def test_files_are_readable_whatever_the_umask(packed: Path, dags: Path) -> None:
    """Airflow may run as another user than the one who deploys."""
    before = os.umask(0o077)
    try:
        path = deploy(packed, dags, airflow=False).path
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o755
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o644}


def as_other_user(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run dkist-build as a user who may change nothing of this one's."""
    code = (
        "import os, sys; from dkist_build_utils.commands import main; os.umask(0o022); "
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture
def shared() -> Iterator[Path]:
    """Return a dags folder that another user deploys to.

    It is not in ``tmp_path``: any other session of pytest closes that to all users when it starts.
    """
    if os.getuid() != 0:
        pytest.skip("only root can be several users")
    with tempfile.TemporaryDirectory(prefix="dkist-shared-") as folder:
        dags = Path(folder, "airflow", "dags")
        dags.mkdir(parents=True)
        for each in (dags, dags.parent):
            os.chown(each, 65534, 65534)
        Path(folder).chmod(0o755)
        yield dags


def test_foreign_files_never_keep_a_version(packed: Path, shared: Path) -> None:
    """Bytecode that Airflow left as another user is named, with who can remove it, and blocks nothing after."""
    path = deploy(packed, shared, airflow=False).path
    for file in (path, *path.iterdir()):
        os.chown(file, 65534, 65534)
    (path / "__pycache__").mkdir()
    (path / "__pycache__" / "a.pyc").write_text("")
    staging = shared.parent / ".dags.dkist-deploy"
    for file in (staging, *staging.iterdir()):
        os.chown(file, 65534, 65534)
    done = as_other_user("undeploy", path.name, "--dags-folder", shared, "--force")
    assert done.returncode == 0, done.stderr
    assert list(shared.iterdir()) == []
    (leftover,) = (each for each in staging.iterdir() if each.name != "lock")
    assert f"'{leftover}' is no longer used and cannot be removed by this user; remove it as nobody or root" in (
        done.stderr
    )
    (shared / "another").mkdir()
    (shared / "another" / "manifest.json").write_text("{}")
    os.chown(shared / "another", 65534, 65534)
    done = as_other_user("undeploy", "another", "--dags-folder", shared, "--force")
    assert done.returncode == 0, done.stderr
    assert f"'{leftover}' is no longer used" in done.stderr


def test_foreign_version_stays_whole(packed: Path, shared: Path) -> None:
    """A version that this user may not move stays as it is, and the message names its owner."""
    path = deploy(packed, shared, airflow=False).path
    staging = shared.parent / ".dags.dkist-deploy"
    for file in (staging, *staging.iterdir()):
        os.chown(file, 65534, 65534)
    before = contents(path)
    done = as_other_user("undeploy", path.name, "--dags-folder", shared, "--force")
    assert done.returncode == 1
    assert f"{path.name} cannot be removed: Permission denied; undeploy it as its owner, root" in done.stderr
    assert contents(path) == before


def test_files_that_may_not_be_read_block_nothing(packed: Path, shared: Path) -> None:
    """A folder or a text file of somebody else's is named; other versions are listed and removed, and no wheel is."""
    name = deploy(packed, shared, airflow=False).path.name
    for path in (shared.parent, *shared.parent.rglob("*")):
        os.chown(path, 65534, 65534)
    for closed in ("closed_1", "notes"):
        (shared / closed).mkdir()
    (shared / "closed_1" / "manifest.json").write_text("{}")
    (shared / "notes" / "mine.txt").write_text("")
    (shared / "closed_1").chmod(0o711)
    (shared / "notes" / "mine.txt").chmod(0o600)
    house = shared.parent / ".dags.dkist-wheels"
    house.mkdir()
    os.chown(house, 65534, 65534)
    done = as_other_user("list", "--dags-folder", shared)
    assert done.returncode == 0, done.stderr
    assert re.search(r"closed_1 .* damaged\n", done.stdout)
    assert re.search(rf"{name} .* ok\n", done.stdout)
    done = as_other_user("undeploy", name, "--dags-folder", shared, "--force")
    assert done.returncode == 0, done.stderr
    assert f"no wheel is removed from {house}: '{shared / 'notes' / 'mine.txt'}', which may be a lock" in done.stderr
    assert sorted(path.name for path in shared.iterdir()) == ["closed_1", "notes"]
