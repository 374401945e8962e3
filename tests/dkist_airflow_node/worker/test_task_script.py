"""The script that runs a task: what it hands on, what it keeps out, and how it says no."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dkist_airflow_node import task_script
from tests.dkist_airflow_node.worker.worker import PYTHON, Worker, package_index

TASKS = """
import os, sys

def run():
    print("the task runs in", sys.prefix)

def print_environment():
    for name, value in os.environb.items():
        print("ENV", (name + b"=" + value).decode(errors="replace"))
    print("PATHS", sys.path)

def leave():
    os._exit(int(os.environ["LEAVE_WITH"]))
"""


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """Return a worker for a release of three tasks."""
    worker = Worker(tmp_path)
    worker.release(TASKS)
    return worker


def environment_of(output: str) -> dict[str, str]:
    """Return the variables that the task printed."""
    return dict(line[4:].split("=", 1) for line in output.splitlines() if line.startswith("ENV "))


def test_the_script_passes_shellcheck(tmp_path: Path) -> None:
    """What every deployed version embeds has no finding of shellcheck."""
    script = tmp_path / "script"
    script.write_text(task_script(), encoding="utf-8")
    shellcheck = str(Path(sys.executable).with_name("shellcheck"))
    result = subprocess.run([shellcheck, "--shell", "bash", str(script)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_the_script_survives_jinja_and_a_raw_literal() -> None:
    """Airflow renders the script as a template, and the DAG file holds it between triple quotes."""
    script = task_script()
    for forbidden in ("{{", "{%", "{#", "'''"):
        assert forbidden not in script
    assert script.isascii()
    assert not script.endswith((".sh", ".bash", "\\"))


def test_a_task_runs_in_an_environment_of_its_lock(worker: Worker) -> None:
    """The first task builds the environment, the second one finds it."""
    first, second = worker.run(), worker.run()
    (environment,) = worker.environments()
    assert first.returncode == second.returncode == 0, first.stdout + second.stdout
    assert f"the task runs in {environment}" in first.stdout
    assert re.fullmatch(rf"[0-9a-f]{{32}}-py{re.escape(PYTHON)}-{os.uname().machine}", environment.name)
    assert "dkist: building" in first.stdout
    assert "dkist: building" not in second.stdout
    assert (environment / "requirements.txt").read_bytes() == worker.lock.read_bytes()


def test_a_warm_start_needs_neither_index_nor_uv(worker: Worker) -> None:
    """What is built starts on a host that has lost its index, its cache and uv."""
    assert worker.run().returncode == 0
    shutil.rmtree(worker.wheels)
    shutil.rmtree(worker.folder / "cache")
    result = worker.run(worker.variables(PATH=str(worker.tools("uv"))))
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("status", "seen"), [(0, 0), (1, 1), (2, 2), (3, 1), (99, 1), (124, 1), (125, 1), (126, 1), (127, 1), (137, 137)]
)
def test_exit_statuses(worker: Worker, status: int, seen: int) -> None:
    """Success and the launcher's two failures pass through; nothing reads as *skipped* to Airflow."""
    assert worker.run(worker.variables("instrument:leave", LEAVE_WITH=str(status))).returncode == seen


def test_nothing_of_the_host_leaks_into_the_build_or_the_task(worker: Worker) -> None:
    """Hostile settings in the environment and in the working folder change nothing."""
    trap = worker.folder / "trap"
    (trap / "dkist_task").mkdir(parents=True)
    for name in (
        "sitecustomize.py",
        "usercustomize.py",
        "instrument.py",
        "dkist_task/__init__.py",
        "dkist_task/__main__.py",
    ):
        (trap / name).write_text("print('TRAPPED')\n", encoding="utf-8")
    shutil.copytree(trap, worker.work, dirs_exist_ok=True)
    (worker.work / "uv.toml").write_text('[pip]\ntarget = "elsewhere"\n', encoding="utf-8")
    (worker.work / "pyproject.toml").write_text("[tool.uv.pip]\nno-deps = 'broken'\n", encoding="utf-8")
    (worker.work / ".python-version").write_text("2.7\n", encoding="utf-8")
    (trap / "constraints.txt").write_text("instrument==9\n", encoding="utf-8")
    hostile = {
        "PYTHONPATH": str(trap),
        "PYTHONHOME": str(trap),
        "PYTHONSTARTUP": str(trap / "sitecustomize.py"),
        "PYTHONOPTIMIZE": "2",
        "PYTHONINSPECT": "1",
        "VIRTUAL_ENV": str(trap),
        "CONDA_PREFIX": str(trap),
        "PIP_TARGET": str(trap),
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "UV_CONSTRAINT": str(trap / "constraints.txt"),
        "UV_OVERRIDE": str(trap / "constraints.txt"),
        "UV_EXCLUDE_NEWER": "2001-01-01",
        "UV_NO_VERIFY_HASHES": "1",
        "UV_PYTHON": "2.7",
        "UV_PYTHON_DOWNLOADS": "automatic",
        "UV_LINK_MODE": "symlink",
        "UV_PROJECT_ENVIRONMENT": str(trap),
        "UV_WORKING_DIRECTORY": str(trap),
        "UV_NO_CACHE": "1",
        "UV_PYTHON_INSTALL_DIR": str(trap),
        "UV_BREAK_SYSTEM_PACKAGES": "1",
        "BASH_FUNC_uv%%": "() { echo TRAPPED; }",
        "BASH_FUNC_flock%%": "() { echo TRAPPED; }",
        "ENV": str(trap / "sitecustomize.py"),
        "CDPATH": str(trap),
        "GLOBIGNORE": "*",
        "A.NAME": "1",
    }
    result = worker.run(worker.variables("instrument:print_environment", **hostile))
    assert result.returncode == 0, result.stdout
    assert "TRAPPED" not in result.stdout
    (environment,) = worker.environments()
    seen = environment_of(result.stdout)
    assert not {name for name in seen if name.startswith(("PYTHON", "CONDA", "PIP_", "UV_", "BASH_FUNC", "A."))}
    assert seen["VIRTUAL_ENV"] == str(environment)
    assert seen["PATH"].startswith(f"{environment}/bin:")
    assert str(trap) not in result.stdout.partition("PATHS")[2]
    assert str(worker.work) not in result.stdout.partition("PATHS")[2]
    modules = list((environment / "lib").glob("python*/site-packages/instrument.py"))
    assert [path.stat().st_nlink for path in modules] == [1], "a copy of its own, linked to no cache"


def test_secrets_of_airflow_and_of_the_bus_stay_outside(worker: Worker) -> None:
    """The task sees none of them, but does see what the DAG and Airflow tell of the run."""
    secrets = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://hunter2",
        "AIRFLOW__API-AUTH__JWT.SECRET": "hunter2",
        "AIRFLOW_CONN_ARCHIVE": "http://hunter2",
        "AIRFLOW_VAR_TOKEN": "hunter2",
        "_AIRFLOW_WWW_USER_PASSWORD": "hunter2",
        "ISB_USERNAME": "hunter2",
        "ISB_PASSWORD": "hunter2",
        "MESH_CONFIG": "hunter2",
        "UV_INDEX_ARCHIVE_PASSWORD": "hunter2",
    }
    kept = {"AIRFLOW_CTX_DAG_ID": "dag", "DKIST_RECIPE_RUN_ID": "7", "OTEL_SERVICE_NAME": "w", "MY_SETTING": "a\nb"}
    result = worker.run(worker.variables("instrument:print_environment", **secrets, **kept))
    assert result.returncode == 0, result.stdout
    assert "hunter2" not in result.stdout
    assert "ENV MY_SETTING=a\nb" in result.stdout
    seen = environment_of(result.stdout)
    assert {name: seen[name] for name in kept if name != "MY_SETTING"} == {
        k: v for k, v in kept.items() if k != "MY_SETTING"
    }


def test_index_and_credentials_come_from_the_workers_uv_settings(worker: Worker) -> None:
    """An index named and unlocked by environment variables, or by the user's uv.toml, is used for the build."""
    with package_index(worker.wheels, credentials="user:pass word") as url:
        login: dict[str, str | None] = {"UV_INDEX_OURS_USERNAME": "user", "UV_INDEX_OURS_PASSWORD": "pass word"}
        own: dict[str, str | None] = {"UV_FIND_LINKS": None, "UV_OFFLINE": None, "UV_HTTP_RETRIES": "0"}
        refused = worker.run(worker.variables(**own, UV_DEFAULT_INDEX=f"ours={url}"))
        assert refused.returncode == 1
        assert "401" in refused.stdout
        assert worker.run(worker.variables(**own, UV_DEFAULT_INDEX=f"ours={url}", **login)).returncode == 0

        shutil.rmtree(worker.store)
        shutil.rmtree(worker.folder / "cache")
        settings = worker.folder / "home" / ".config" / "uv" / "uv.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(f'[[index]]\nname = "ours"\nurl = "{url}"\ndefault = true\n', encoding="utf-8")
        result = worker.run(worker.variables(**own, **login))
        assert result.returncode == 0, result.stdout


def test_a_release_without_a_lock_is_resolved_once_and_says_so(worker: Worker) -> None:
    """`Workflow.export` alone gives a requirement: it is installed unhashed, once, with dkist-task."""
    no_lock = worker.variables(DKIST_LOCK=None, DKIST_LOCK_SHA256=None, DKIST_REQUIREMENT="instrument==1.0.0")
    first = worker.run(no_lock)
    assert first.returncode == 0, first.stdout
    assert "instrument==1.0.0 has no lock" in first.stdout
    shutil.rmtree(worker.wheels)
    second = worker.run(no_lock)
    assert second.returncode == 0, second.stdout
    assert "has no lock" in second.stdout
    assert len(worker.environments()) == 1


def test_paths_with_spaces_and_other_letters_work(tmp_path: Path) -> None:
    """The store, the release and the wheels may have any name."""
    worker = Worker(tmp_path / "Haleakalā 'ʻō' $HOME \\n %s")
    worker.folder.mkdir()
    worker.release(TASKS)
    result = worker.run()
    assert result.returncode == 0, result.stdout
    assert worker.run().returncode == 0


def test_the_store_is_in_the_cache_folder_unless_it_is_named(worker: Worker) -> None:
    """XDG_CACHE_HOME, then HOME, say where the store is."""
    named = worker.run(worker.variables(DKIST_ENVIRONMENT_STORE="", XDG_CACHE_HOME=str(worker.folder / "xdg")))
    home = worker.run(worker.variables(DKIST_ENVIRONMENT_STORE=None))
    assert f"the task runs in {worker.folder}/xdg/dkist/environments/" in named.stdout
    assert f"the task runs in {worker.folder}/home/.cache/dkist/environments/" in home.stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"DKIST_ENVIRONMENT_STORE": "store"}, "DKIST_ENVIRONMENT_STORE is not set to an absolute path, nor is HOME"),
        ({"DKIST_ENVIRONMENT_STORE": None, "HOME": None}, "DKIST_ENVIRONMENT_STORE is not set to an absolute path"),
        ({"DKIST_ENVIRONMENT_STORE": "/dev/null/store"}, "cannot write to the environment store /dev/null/store"),
        ({"DKIST_PYTHON": "3.11; exit 0"}, "DKIST_PYTHON is '3.11; exit 0', not a version such as 3.12"),
        ({"DKIST_PYTHON": "3.99"}, "no Python 3.99 on this worker"),
        ({"DKIST_LOCK": "/nowhere/requirements.txt"}, "the lock /nowhere/requirements.txt is not there"),
        ({"DKIST_LOCK_SHA256": "0" * 64}, "is not the one of this DAG"),
        ({"DKIST_LOCK_SHA256": ""}, "is not the one of this DAG"),
        ({"DKIST_LOCK": None}, "neither DKIST_LOCK nor DKIST_REQUIREMENT is set"),
    ],
)
def test_what_cannot_be_right_is_refused_in_one_line(
    worker: Worker, changes: dict[str, str | None], message: str
) -> None:
    """The task fails, saying what to mend, and nothing is built or run."""
    result = worker.run(worker.variables(**changes))
    assert result.returncode == 1
    assert message in result.stdout.splitlines()[-1]
    assert "the task runs" not in result.stdout
    assert worker.environments() == []


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("uv", "no 'uv' on the PATH of this worker"),
        ("flock", "no 'flock' on the PATH of this worker"),
        ("timeout", "failed to execute timeout"),
    ],
)
def test_a_missing_program_is_named(worker: Worker, missing: str, message: str) -> None:
    """A worker without a program that the script needs says which."""
    result = worker.run(worker.variables(PATH=f"{worker.tools(missing)}:{Path(sys.base_prefix) / 'bin'}"))
    assert result.returncode == 1
    assert message in result.stdout.splitlines()[-1]


def test_a_task_runs_without_setpriv(worker: Worker) -> None:
    """Where util-linux is older than 2.33, the script watches for its parent's death itself."""
    path = f"{worker.tools('setpriv')}:{Path(sys.base_prefix) / 'bin'}"
    result = worker.run(worker.variables(PATH=path))
    assert result.returncode == 0, result.stdout
