"""The runner: what it hands on, what it keeps out, how it says what happened, and how it says no."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dkist_airflow_node.worker.runner.plain_json import parse_json, render_json
from dkist_airflow_node.worker.runner.variables import build_variables, task_variables
from dkist_airflow_node.worker.runner_process import handover
from harness.interpreter import InterpreterMissingError, find_interpreter
from tests.dkist_airflow_node.worker.runner_host import COMMAND, HANDOVER, RUNNER, Ended, RunnerHost
from tests.dkist_airflow_node.worker.worker import PYTHON, package_index

TASKS = """
import ctypes, json, os, signal, sys, time
from pathlib import Path

class FrameError(Exception):
    pass

def run():
    print("the task runs in", sys.prefix)

def print_environment():
    for name, value in os.environb.items():
        print("ENV", (name + b"=" + value).decode(errors="replace"))
    print("PATHS", sys.path)

def reads_environments():
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                print("FOUND" if b"hunter" + b"2" in (process / "environ").read_bytes() else "", process.name)
            except OSError:
                pass

def shows_arguments():
    print("ACTION", sys.argv[1:])

def leave():
    os._exit(int(os.environ["LEAVE_WITH"]))

def leaves_from_c():
    ctypes.CDLL(None).exit(0)

def raises():
    raise FrameError("observe_0005.fits holds no image")

def killed():
    os.kill(os.getpid(), signal.SIGKILL)

def segfault():
    ctypes.string_at(0)

def closes_its_streams():
    sys.stderr.close()
    os.close(1)
    os.close(2)

def writes_outcome():
    Path(os.environ["DKIST_OUTCOME_FILE"]).write_text(os.environ["OUTCOME"])
    os._exit(int(os.environ["LEAVE_WITH"]))

def puts_a_folder_there():
    os.mkdir(os.environ["DKIST_OUTCOME_FILE"])
    os._exit(0)

def puts_a_pipe_there():
    os.mkfifo(os.environ["DKIST_OUTCOME_FILE"])
    os._exit(0)

def imports_what_is_missing():
    import nowhere

def eats():
    data = []
    while True:
        data.append(b"x" * 10_000_000)
"""


@pytest.fixture
def host(tmp_path: Path) -> RunnerHost:
    """Return a host for a release of these tasks."""
    host = RunnerHost(tmp_path)
    host.release(TASKS)
    return host


def environment_of(ended: Ended) -> dict[str, str]:
    """Return the variables that the task printed."""
    return dict(line[4:].split("=", 1) for line in ended.lines if line.startswith("ENV "))


def test_the_text_fits_into_a_dag_file() -> None:
    """The DAG file holds each module between triple quotes."""
    for text in RUNNER.values():
        assert "'''" not in text
        assert text.isascii()
        assert not text.endswith("\\")
    assert sum(map(len, RUNNER.values())) < 100_000


def test_the_text_is_of_the_oldest_python_of_a_worker() -> None:
    """It is read by the Python of Airflow, which may be 3.10."""
    for text in RUNNER.values():
        ast.parse(text, feature_version=(3, 10))


def handover_by(interpreter: Path) -> bytes:
    """Return the handover that an interpreter makes for itself: compiled code is of one version."""
    program = inspect.getsource(handover).replace("Mapping[str, str]", "dict")
    program = f"import marshal, json, sys\n{program}\nsys.stdout.buffer.write(handover(json.load(sys.stdin)))"
    done = subprocess.run(
        [str(interpreter), "-c", program], input=json.dumps(RUNNER).encode(), capture_output=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("version", ["3.10", "3.12", "3.13", "3.14"])
def test_a_task_runs_under_each_python_of_airflow(host: RunnerHost, version: str) -> None:
    """What runs the runner need not be what runs the task."""
    try:
        interpreter = find_interpreter(version)
    except InterpreterMissingError as error:
        pytest.skip(str(error))
    request = {"action": "run", "environ": host.variables("instrument:raises"), "watch": [os.getpid()], "attempt": None}
    result = subprocess.run(
        [str(interpreter), *COMMAND],
        input=handover_by(interpreter) + json.dumps(request).encode() + b"\n",
        env={"PATH": os.defpath},
        capture_output=True,
        check=False,
        timeout=60,
    )
    ended = Ended(result.returncode, result.stdout, result.stderr)
    assert ended.result["reason"] == "FrameError: observe_0005.fits holds no image"


def test_a_task_runs_in_an_environment_of_its_lock(host: RunnerHost) -> None:
    """The first task builds the environment, the second one finds it."""
    first, second = host.result_of(), host.result_of()
    (environment,) = host.environments()
    assert first.status == second.status == 0, first
    assert f"the task runs in {environment}" in first.lines
    assert re.fullmatch(rf"[0-9a-f]{{32}}-py{re.escape(PYTHON)}-{os.uname().machine}", environment.name)
    assert "building" in first.messages
    assert "building" not in second.messages
    assert (environment / "requirements.txt").read_bytes() == host.lock.read_bytes()
    assert (environment.stat().st_mode & 0o777) == 0o755


def test_a_success_is_reported_with_what_it_used(host: RunnerHost) -> None:
    """The result is one object, with the members of the protocol."""
    ended = host.result_of(attempt="dag/run/task/-1")
    result = ended.result
    assert 1_000_000 < result.pop("peak_memory_bytes") < 500_000_000
    assert 0 < result.pop("cpu_seconds") < 30
    assert 0 < result.pop("seconds") < 60
    assert result == {
        "result": "success",
        "error_type": None,
        "error": None,
        "reason": "",
        "can_retry": True,
        "exit_status": 0,
        "signal": None,
        "is_out_of_memory": False,
        "environment": str(host.environments()[0]),
    }
    assert list((host.store / "attempts").iterdir()) == []


def test_the_runners_records_have_a_time_a_level_and_groups(host: RunnerHost) -> None:
    """Airflow's log can fold what belongs together."""
    records = host.result_of("raises").records
    assert {record["logger"] for record in records} == {"dkist.runner"}
    assert [record["group"] for record in records if "group" in record] == ["environment", "task", None]
    assert records[-1]["level"] == "ERROR"
    for record in records:
        age = datetime.now().astimezone() - datetime.fromisoformat(record["time"])
        assert timedelta() <= age < timedelta(minutes=1)


def test_a_failure_has_the_tasks_own_words(host: RunnerHost) -> None:
    """Type and text come from the outcome file."""
    ended = host.result_of("raises")
    assert ended.status == 1
    assert ended.result["result"] == "failure"
    assert ended.result["error_type"] == "instrument.FrameError"
    assert ended.result["error"] == "observe_0005.fits holds no image"
    assert ended.result["reason"] == "FrameError: observe_0005.fits holds no image"
    assert ended.result["can_retry"] is True


def test_the_result_is_one_line_that_its_reader_takes(host: RunnerHost) -> None:
    """Also where each character of the error takes twelve bytes: a line that was cut would be no result."""
    outcome = json.dumps({"result": "failure", "error_type": "E", "error": "\U0001f600" * 4000}, ensure_ascii=False)
    ended = host.result_of("writes_outcome", OUTCOME=outcome, LEAVE_WITH="1")
    assert len(ended.errors) < 65_536
    assert ended.result["error"].startswith("\U0001f600" * 1000)


@pytest.mark.parametrize(("task", "name"), [("killed", "SIGKILL"), ("segfault", "SIGSEGV")])
def test_death_by_a_signal_is_named(host: RunnerHost, task: str, name: str) -> None:
    """Which signal it was, and who did not send it."""
    ended = host.result_of(task)
    assert ended.status == 1
    assert ended.result["signal"] == name
    assert ended.result["exit_status"] is None
    assert f"killed by {name}" in ended.result["reason"]
    assert ended.result["is_out_of_memory"] is False


@pytest.mark.parametrize("task", ["leave", "leaves_from_c"])
def test_an_end_without_an_outcome_is_a_failure(host: RunnerHost, task: str) -> None:
    """Exit status 0 alone is no success."""
    ended = host.result_of(task, LEAVE_WITH="0")
    assert ended.status == 1
    assert ended.result["result"] == "failure"
    assert "ended with exit status 0 without saying how (os._exit or exit() in native code?)" in ended.result["reason"]


@pytest.mark.parametrize("status", [1, 2, 3, 99, 124, 125, 126, 127, 137])
def test_exit_statuses(host: RunnerHost, status: int) -> None:
    """No exit status of a task reads as *skipped* or as anything but a failure that may be tried again."""
    ended = host.result_of("leave", LEAVE_WITH=str(status))
    assert ended.status == 1
    assert (ended.result["exit_status"], ended.result["can_retry"]) == (status, True)


@pytest.mark.parametrize(
    ("outcome", "status", "expected", "exit_status"),
    [
        ('{"result": "success"}', 0, {"result": "success"}, 0),
        ('{"result": "skip", "reason": "no data"}', 0, {"result": "skip", "reason": "no data"}, 0),
        ('{"result": "failure"}', 0, {"result": "failure"}, 1),
        ('{"result": "success"}', 1, {"result": "failure", "error": None}, 1),
        ('{"result": "error", "error": "no class X"}', 2, {"result": "error", "can_retry": False}, 2),
        ('{"result": "success", "peak_memory_bytes": 5, "later": [1, {}]}', 0, {"peak_memory_bytes": 5}, 0),
        ('{"result": "succ', 0, {"result": "failure"}, 1),
        ("[]", 0, {"result": "failure"}, 1),
        ("[" * 100_000, 0, {"result": "failure"}, 1),
        ("", 0, {"result": "failure"}, 1),
    ],
)
def test_success_is_the_launchers_own_word(
    host: RunnerHost, outcome: str, status: int, expected: dict[str, Any], exit_status: int
) -> None:
    """Exit status and outcome must agree; members that are missing or unknown harm nothing."""
    ended = host.result_of("writes_outcome", OUTCOME=outcome, LEAVE_WITH=str(status))
    assert expected.items() <= ended.result.items()
    assert ended.status == exit_status


def test_a_pipe_in_place_of_the_outcome_holds_nobody_up(host: RunnerHost) -> None:
    """Nobody writes to it: a runner that waited there would not obey a stop, and stay for ever."""
    assert host.result_of("puts_a_pipe_there").result["result"] == "failure"


def test_a_folder_in_place_of_the_outcome_stops_no_later_attempt(host: RunnerHost) -> None:
    """The next attempt of the same task removes it and runs."""
    assert host.result_of("puts_a_folder_there", attempt="a").result["result"] == "failure"
    assert host.result_of("run", attempt="a").result["result"] == "success"


def test_members_of_the_wrong_type_count_as_missing(host: RunnerHost) -> None:
    """A task may have written the outcome itself: the runner still reports."""
    outcome = '{"result": [], "peak_memory_bytes": "many", "cpu_seconds": NaN, "error": {"a": 1}}'
    ended = host.result_of("writes_outcome", OUTCOME=outcome, LEAVE_WITH="1")
    assert ended.result["result"] == "failure"
    assert isinstance(ended.result["peak_memory_bytes"], int)


def test_a_task_that_closes_its_streams_succeeds(host: RunnerHost) -> None:
    """What it closed is its own."""
    assert host.result_of("closes_its_streams").result["result"] == "success"


def test_a_kill_for_memory_is_said_with_peak_and_limit(host: RunnerHost) -> None:
    """The control group's own counter tells it from any other SIGKILL."""
    group = Path("/sys/fs/cgroup/memory/dkist-test") if Path("/sys/fs/cgroup/memory").exists() else None
    if group is None or os.geteuid() or not os.access(group.parent, os.W_OK):
        pytest.skip("needs root and a memory control group of version 1")
    assert host.result_of().status == 0
    group.mkdir(exist_ok=True)
    try:
        (group / "memory.limit_in_bytes").write_text("150M", encoding="utf-8")
        enter = f"\nimport os; open({str(group / 'cgroup.procs')!r}, 'w').write('0')\n"
        first = "from __future__ import annotations\n"
        main = RUNNER["runner.__main__"].replace(first, first + enter, 1)
        ended = host.result_of("eats", modules=RUNNER | {"runner.__main__": main})
    finally:
        group.rmdir()
    assert ended.result["is_out_of_memory"] is True, ended.result
    assert re.fullmatch(r"killed by the kernel for memory: peak 1[345]\d MiB, limit 150 MiB", ended.result["reason"]), (
        ended.result["reason"]
    )


def test_a_file_missing_from_a_complete_environment_is_named_and_mended(host: RunnerHost) -> None:
    """The failed import says what is gone, and the next attempt has a whole environment."""
    assert host.result_of().status == 0
    (environment,) = host.environments()
    (module,) = environment.glob("lib/python*/site-packages/instrument.py")
    module.unlink()
    shutil.rmtree(module.parent / "__pycache__")
    ended = host.result_of()
    assert ended.result["error_type"] == "builtins.ModuleNotFoundError"
    assert "has lost its file instrument.py; the next attempt builds it again" in ended.result["reason"]
    assert host.result_of().status == 0
    (environment / "lib" / f"python{PYTHON}" / "site-packages" / "dkist_task" / "__main__.py").unlink()
    assert "has lost its file dkist_task/__main__.py" in host.result_of().result["reason"]
    assert host.result_of().status == 0


def test_a_module_that_never_was_there_is_the_tasks_affair(host: RunnerHost) -> None:
    """An import that fails in a whole environment does not build it again."""
    ended = host.result_of("imports_what_is_missing")
    assert ended.result["reason"] == "ModuleNotFoundError: No module named 'nowhere'"
    assert "building" not in host.result_of().messages


def test_rollback_is_handed_to_the_launcher(host: RunnerHost) -> None:
    """The action is the launcher's first argument."""
    assert (
        "ACTION ['rollback', 'instrument:shows_arguments']"
        in host.result_of("shows_arguments", action="rollback").lines
    )


def test_a_build_runs_no_task(host: RunnerHost) -> None:
    """`build` makes the environment, and says where."""
    ended = host.result_of(action="build", DKIST_TASK=None)
    assert ended.status == 0
    assert ended.result["environment"] == str(host.environments()[0])
    assert ended.lines == []


def test_a_warm_start_needs_neither_index_nor_uv(host: RunnerHost) -> None:
    """What is built starts on a host that has lost its index, its cache and uv."""
    assert host.result_of().status == 0
    shutil.rmtree(host.wheels)
    shutil.rmtree(host.folder / "cache")
    assert host.result_of(PATH=str(host.tools("uv"))).status == 0


def test_nothing_of_the_host_leaks_into_the_build_or_the_task(host: RunnerHost) -> None:
    """Hostile settings in the environment and in the working folder change nothing."""
    trap = host.folder / "trap"
    (trap / "dkist_task").mkdir(parents=True)
    for name in (
        "sitecustomize.py",
        "usercustomize.py",
        "instrument.py",
        "dkist_task/__init__.py",
        "dkist_task/__main__.py",
        "ctypes.py",
        "select.py",
    ):
        (trap / name).write_text("print('TRAPPED')\n", encoding="utf-8")
    shutil.copytree(trap, host.work, dirs_exist_ok=True)
    (host.work / "uv.toml").write_text('[pip]\ntarget = "elsewhere"\n', encoding="utf-8")
    (host.work / "pyproject.toml").write_text("[tool.uv.pip]\nno-deps = 'broken'\n", encoding="utf-8")
    (host.work / ".python-version").write_text("2.7\n", encoding="utf-8")
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
        "ENV": str(trap / "sitecustomize.py"),
        "BASH_ENV": str(trap / "sitecustomize.py"),
        "A.NAME": "1",
        "DKIST_OUTCOME_FILE": str(trap / "outcome"),
    }
    ended = host.result_of("print_environment", **hostile)
    assert ended.status == 0, ended
    assert b"TRAPPED" not in ended.output
    (environment,) = host.environments()
    seen = environment_of(ended)
    assert not {name for name in seen if name.startswith(("PYTHON", "CONDA", "PIP_", "UV_", "BASH_", "ENV", "A."))}
    assert seen["VIRTUAL_ENV"] == str(environment)
    assert seen["PATH"].startswith(f"{environment}/bin:")
    assert seen["DKIST_LOG_FORMAT"] == "records"
    paths = next(line for line in ended.lines if line.startswith("PATHS"))
    assert str(trap) not in paths
    assert str(host.work) not in paths
    modules = list((environment / "lib").glob("python*/site-packages/instrument.py"))
    assert [path.stat().st_nlink for path in modules] == [1], "a copy of its own, linked to no cache"


def test_secrets_of_airflow_and_of_the_index_stay_outside(host: RunnerHost) -> None:
    """The task sees none of them. It sees what it needs, and the variables of the DAG and of Airflow's run."""
    secrets = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://hunter2",
        "AIRFLOW__API-AUTH__JWT.SECRET": "hunter2",
        "AIRFLOW_CONN_ARCHIVE": "http://hunter2",
        "AIRFLOW_VAR_TOKEN": "hunter2",
        "_AIRFLOW_WWW_USER_PASSWORD": "hunter2",
        "UV_INDEX_ARCHIVE_PASSWORD": "hunter2",
    }
    kept = {
        "AIRFLOW_CTX_DAG_ID": "dag",
        "DKIST_RECIPE_RUN_ID": "7",
        "OTEL_SERVICE_NAME": "w",
        "MESH_CONFIG": "{}",
        "ISB_USERNAME": "user",
        "REDIS_HOST": "redis",
        "MY_SETTING": "Haleakal\u0101 \udcff",
    }
    ended = host.result_of("print_environment", **secrets, **kept)
    assert ended.status == 0, ended
    assert b"hunter2" not in ended.output
    seen = environment_of(ended)
    assert kept.items() <= {**seen, "MY_SETTING": kept["MY_SETTING"]}.items()
    assert seen["MY_SETTING"] == "Haleakal\u0101 \ufffd"


def test_no_process_of_ours_shows_a_secret(host: RunnerHost) -> None:
    """What was taken away stands in the environment of no process, nor can the runner's memory be read by its user."""
    ended = host.result_of("reads_environments", AIRFLOW__API_AUTH__JWT_SECRET="hunter2")
    assert ended.status == 0, ended
    assert "FOUND" not in b" ".join(ended.output.split(b"hunter")).decode()


def test_a_site_may_narrow_what_tasks_see(host: RunnerHost) -> None:
    """DKIST_TASK_VARIABLES names what passes beside the DAG's own."""
    ended = host.result_of(
        "print_environment",
        DKIST_TASK_VARIABLES="MESH_CONFIG ISB_* *_HOST AIRFLOW__*",
        MESH_CONFIG="{}",
        ISB_PASSWORD="p",
        REDIS_HOST="r",
        SECRET_THING="hunter2",
        AIRFLOW__CORE__FERNET_KEY="hunter2",
        OTEL_SERVICE_NAME="w",
        TRACEPARENT="00-1",
    )
    seen = environment_of(ended)
    passed = {
        "MESH_CONFIG",
        "ISB_PASSWORD",
        "REDIS_HOST",
        "OTEL_SERVICE_NAME",
        "TRACEPARENT",
        "HOME",
        "LANG",
        "DKIST_TASK",
    }
    assert passed <= seen.keys()
    assert not {"SECRET_THING", "AIRFLOW__CORE__FERNET_KEY"} & seen.keys()


@pytest.mark.parametrize(
    ("name", "task_sees", "build_sees"),
    [
        ("UV_NO_INDEX", False, True),
        ("UV_INDEX_OURS_PASSWORD", False, True),
        ("UV_HTTP_TIMEOUT", False, True),
        ("UV_CONSTRAINT", False, False),
        ("SSL_CERT_FILE", True, True),
        ("AIRFLOW_HOME", False, False),
        ("AIRFLOW_CTX_TRY_NUMBER", True, True),
        ("PYTHONPATH", False, False),
    ],
)
def test_which_variables_pass(name: str, *, task_sees: bool, build_sees: bool) -> None:
    """The build has uv's index settings, the task has none of uv's."""
    assert (name in task_variables({name: "1"})) is task_sees
    assert (name in build_variables({name: "1"})) is build_sees


def test_index_and_credentials_come_from_the_workers_uv_settings(host: RunnerHost) -> None:
    """An index named and unlocked by environment variables, or by the user's uv.toml, is used for the build."""
    with package_index(host.wheels, credentials="user:pass word") as url:
        login: dict[str, Any] = {"UV_INDEX_OURS_USERNAME": "user", "UV_INDEX_OURS_PASSWORD": "pass word"}
        own: dict[str, Any] = {"UV_FIND_LINKS": None, "UV_OFFLINE": None, "UV_HTTP_RETRIES": "0"}
        refused = host.result_of(**own, UV_DEFAULT_INDEX=f"ours={url}")
        assert refused.status == 1
        assert "401" in refused.result["reason"]
        assert host.result_of(**own, UV_DEFAULT_INDEX=f"ours={url}", **login).status == 0

        shutil.rmtree(host.store)
        shutil.rmtree(host.folder / "cache")
        settings = host.folder / "home" / ".config" / "uv" / "uv.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(f'[[index]]\nname = "ours"\nurl = "{url}"\ndefault = true\n', encoding="utf-8")
        assert host.result_of(**own, **login).status == 0


def test_a_release_without_a_lock_is_resolved_once_and_says_so(host: RunnerHost) -> None:
    """`Workflow.export` alone gives a requirement: it is installed unhashed, once, with dkist-task."""
    no_lock: dict[str, Any] = {"DKIST_LOCK": None, "DKIST_LOCK_SHA256": None, "DKIST_REQUIREMENT": "instrument==1.0.0"}
    first = host.result_of(**no_lock)
    assert first.status == 0, first
    assert "instrument==1.0.0 has no lock" in first.messages
    shutil.rmtree(host.wheels)
    second = host.result_of(**no_lock)
    assert second.status == 0, second
    assert "has no lock" in second.messages
    assert len(host.environments()) == 1


def test_paths_with_spaces_and_other_letters_work(tmp_path: Path) -> None:
    """The store, the release and the wheels may have any name."""
    host = RunnerHost(tmp_path / "Haleakalā 'ʻō' $HOME \\n %s")
    host.folder.mkdir()
    host.release(TASKS)
    assert host.result_of().status == 0
    assert host.result_of().status == 0


def test_the_store_is_in_the_cache_folder_unless_it_is_named(host: RunnerHost) -> None:
    """XDG_CACHE_HOME, then HOME, say where the store is."""
    named = host.result_of(DKIST_ENVIRONMENT_STORE="", XDG_CACHE_HOME=str(host.folder / "xdg"))
    home = host.result_of(DKIST_ENVIRONMENT_STORE=None)
    assert named.result["environment"].startswith(f"{host.folder}/xdg/dkist/environments/")
    assert home.result["environment"].startswith(f"{host.folder}/home/.cache/dkist/environments/")


@pytest.mark.parametrize(
    ("changes", "message", "can_retry"),
    [
        ({"DKIST_ENVIRONMENT_STORE": "store"}, "the environment store store is not an absolute path", False),
        ({"DKIST_ENVIRONMENT_STORE": None, "HOME": None}, "set DKIST_ENVIRONMENT_STORE to the absolute path", False),
        ({"DKIST_ENVIRONMENT_STORE": "/dev/null/store"}, "cannot write to the environment store /dev/null/store", True),
        ({"DKIST_PYTHON": "3.11; exit 0"}, "DKIST_PYTHON is '3.11; exit 0', not a version such as 3.12", False),
        ({"DKIST_PYTHON": "3.99"}, "no Python 3.99 on this worker", False),
        ({"DKIST_LOCK": "/nowhere/requirements.txt"}, "the lock /nowhere/requirements.txt cannot be read", True),
        ({"DKIST_LOCK_SHA256": "0" * 64}, "is not the one of this DAG", False),
        ({"DKIST_LOCK_SHA256": ""}, "is not the one of this DAG", False),
        ({"DKIST_LOCK": None}, "neither DKIST_LOCK nor DKIST_REQUIREMENT is set", False),
        ({"DKIST_TASK": None}, "DKIST_TASK is not set", False),
    ],
)
def test_what_cannot_be_right_is_refused(
    host: RunnerHost, changes: dict[str, str | None], message: str, *, can_retry: bool
) -> None:
    """The result says what to fix and whether to try again; nothing is built or run."""
    ended = host.result_of(**changes)
    assert ended.status == (1 if can_retry else 2)
    assert message in ended.result["reason"]
    assert message in ended.messages
    assert (ended.result["result"], ended.result["can_retry"]) == ("error", can_retry)
    assert host.environments() == []


@pytest.mark.parametrize(
    "request_line",
    [
        b"",
        b"\n",
        b"{\n",
        b"[]\n",
        b'{"action": "run"}\n',
        b'{"action": "dance", "environ": {"DKIST_TASK": "a:b"}}\n',
        b'{"action": "run", "environ": {"DKIST_TASK": "a:b", "A": 1}}\n',
        b'{"action": "run", "environ": {"DKIST_TASK": "a:b"}, "watch": ["x"]}\n',
        b"\xff\n",
    ],
)
def test_a_request_that_cannot_be_read_is_refused(request_line: bytes) -> None:
    """It is said in the result; trying again cannot help."""
    result = subprocess.run(
        [sys.executable, *COMMAND], input=HANDOVER + request_line, capture_output=True, check=False, timeout=30
    )
    ended = Ended(result.returncode, result.stdout, result.stderr)
    assert ended.status == 2
    assert "the request cannot be read" in ended.result["reason"]


def test_a_missing_uv_is_named(host: RunnerHost) -> None:
    """A worker that cannot build says what it lacks."""
    ended = host.result_of(PATH=f"{host.tools('uv')}:{Path(sys.base_prefix) / 'bin'}")
    assert ended.status == 1
    assert "no 'uv' on the PATH of this worker" in ended.result["reason"]


def test_only_python_and_uv_are_needed(host: RunnerHost) -> None:
    """No other program of the host is used."""
    names = {"bash", "cp", "env", "flock", "grep", "mkdir", "mv", "rm", "setpriv", "sha256sum", "sleep"}
    tools = host.tools(*names, "stat", "timeout", "true")
    assert [path.name for path in tools.iterdir()] == ["uv"]
    ended = host.result_of(PATH=f"{tools}:{Path(sys.base_prefix) / 'bin'}")
    assert ended.status == 0, ended


@pytest.mark.parametrize(
    "value", ["", "a", 'quote " and \\ and \n', "Haleakal\u0101 \udcff", 0, -1.5, 1e300, True, False, None]
)
def test_the_runners_json_is_json(value: Any) -> None:
    """What the runner writes is read by `json` as what it was."""
    assert json.loads(render_json({"name": value})) == {"name": value}
    assert parse_json(f" {json.dumps({'a': [value]})}\n") == {"a": [value]}


@pytest.mark.parametrize("text", ["", "{", "{} {}", "nul", '{"a": }', "[1,]", '"\n"'])
def test_what_is_not_json_is_refused(text: str) -> None:
    """As by `json` itself."""
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)
