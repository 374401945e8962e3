"""The Airflow that is asked by a deploy: named, compared with the dags folder, and never created."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dkist_build_utils import BuildError, archive, deploy, deployed_versions, export, undeploy
from harness.airflow import migrated_database
from tests.dkist_build_utils.conftest import WORKFLOW, Install, instrument


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an AIRFLOW_HOME that is set and not there."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def set_up(home: Path) -> None:
    """Give an AIRFLOW_HOME a database, as ``airflow db migrate`` does."""
    home.mkdir()
    shutil.copyfile(migrated_database(), home / "airflow.db")


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run dkist-build."""
    program = [sys.executable, "-m", "dkist_build_utils", *map(str, arguments)]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def test_an_airflow_that_was_never_set_up_is_named_and_not_created(packed: Path, dags: Path, home: Path) -> None:
    """A version that needs a pool is refused, and neither a home nor a database appears."""
    with pytest.raises(BuildError) as refused:
        deploy(packed, dags)
    text = str(refused.value)
    assert f"the Airflow of AIRFLOW_HOME={home} (database sqlite:///{home}/airflow.db) was never set up" in text
    assert "without the pools high_memory_pool the tasks in them would stay 'scheduled' for ever" in text
    assert "airflow db migrate" in text
    assert not home.exists()
    assert list(dags.iterdir()) == []


def test_a_database_without_tables_is_not_filled(packed: Path, dags: Path, home: Path) -> None:
    """An empty file is no database of Airflow, and stays empty."""
    home.mkdir()
    (home / "airflow.db").touch()
    with pytest.raises(BuildError, match="was never set up: its database holds no tables"):
        deploy(packed, dags)
    assert [path.name for path in home.iterdir()] == ["airflow.db"]
    assert (home / "airflow.db").stat().st_size == 0


def test_an_airflow_of_another_dags_folder_gets_no_pools(packed: Path, dags: Path, home: Path) -> None:
    """The Airflow that happens to be there is not changed: it is named, with the folder that it reads."""
    set_up(home)
    before = (home / "airflow.db").read_bytes()
    with pytest.raises(BuildError, match=rf"AIRFLOW_HOME={home} .* reads {home}/dags, not {dags}; .*--no-airflow"):
        deploy(packed, dags)
    assert (home / "airflow.db").read_bytes() == before
    assert [path.name for path in home.iterdir()] == ["airflow.db"]
    assert list(dags.iterdir()) == []
    deploy(packed, dags, airflow=False)
    with pytest.raises(BuildError, match=rf"reads {home}/dags, not {dags}, so nobody knows whether runs are active"):
        undeploy(packed.name.removesuffix(".tar.gz"), dags)


def test_password_of_a_database_is_not_shown(
    packed: Path, dags: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that does not answer is named by user, host and name."""
    address = "postgresql+psycopg2://airflow:s3cret@127.0.0.1:1/airflow?password=s3cret"
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", address)
    with pytest.raises(BuildError) as refused:
        deploy(packed, dags)
    assert "s3cret" not in str(refused.value)
    assert not home.exists()


def test_version_without_pools_is_deployed_with_a_warning(
    install: Install, offline: Path, tmp_path: Path, dags: Path, home: Path
) -> None:
    """Nothing hangs where no pool is needed, so no Airflow is needed either; the command says what it did not see."""
    package = instrument(**{"workflows.main": WORKFLOW.replace(", resource_queue=ResourceQueue.HIGH_MEMORY", "")})
    package.write_wheel(offline)
    packed = archive(export(f"{install(package)}.workflows", tmp_path / "out", version="1.0.0"))
    done = command("deploy", packed, "--dags-folder", dags)
    assert done.returncode == 0, done.stderr
    assert f"warning: the Airflow of AIRFLOW_HOME={home}" in done.stderr
    assert "so nobody knows whether an Airflow will show this version" in done.stderr
    assert not home.exists()


def test_missing_pool_is_found_afterwards(
    packed: Path, dags: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``list --airflow`` names each version that waits for a pool, until the pool is there."""
    set_up(home)
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(dags))
    name = deploy(packed, dags, airflow=False).path.name
    assert deployed_versions(dags)[0].pools == ("high_memory_pool",)
    done = command("list", "--dags-folder", dags, "--airflow")
    assert done.returncode == 1
    assert f"asked the Airflow of AIRFLOW_HOME={home}" in done.stderr
    assert f"{name}: Airflow has no pool high_memory_pool, so tasks in it stay 'scheduled'" in done.stderr
    asked = command("deploy", packed, "--dags-folder", dags)
    assert f"created pool high_memory_pool with 1 slot in the Airflow of AIRFLOW_HOME={home}" in asked.stderr
    done = command("list", "--dags-folder", dags, "--airflow", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["missing_pools"] == []
