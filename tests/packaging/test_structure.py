"""Who knows a module finds its tests, and who knows a test finds what it tests: the folders are the same."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_TESTED_ALONE = {"__init__", "__main__", "__about__"}

TESTED_ELSEWHERE = {
    "an error is caused, and its message read, by the tests of the module that raises it": [
        "dkist_airflow_node/errors",
        "dkist_build_utils/errors",
        "dkist_task/errors",
        "dkist_workflow/errors",
    ],
    "a program of its own, which its caller's tests run": [
        "dkist_airflow_node/worker/store_process",
        "dkist_build_utils/checks/task_import",
        "dkist_build_utils/programs/airflow_program",
    ],
    "the tests of archives and of wheels in a release see what it writes": [
        "dkist_build_utils/release/stored_gzip",
        "dkist_build_utils/release/wheelhouse",
    ],
    "the workflow's tests build their graphs of it": [
        "dkist_workflow/name",
        "dkist_workflow/node",
        "dkist_workflow/queue",
    ],
    "test_launcher and test_children run a real task": [
        "dkist_task/launcher/child",
        "dkist_task/launcher/distribution",
        "dkist_task/launcher/launch",
        "dkist_task/launcher/opening",
        "dkist_task/launcher/request",
    ],
    "has no file of its own yet": [
        "dkist_airflow_node/commands/cli",
        "dkist_airflow_node/commands/environments",
        "dkist_airflow_node/commands/messages",
        "dkist_airflow_node/dag/body",
        "dkist_airflow_node/dag/engine",
        "dkist_airflow_node/dag/file",
        "dkist_airflow_node/messages/airflow_run",
        "dkist_airflow_node/messages/bus",
        "dkist_airflow_node/messages/deadline",
        "dkist_airflow_node/messages/outbox",
        "dkist_airflow_node/worker/prebuild",
        "dkist_build_utils/checks/discovery",
        "dkist_build_utils/checks/import_check",
        "dkist_build_utils/checks/requirement",
        "dkist_build_utils/commands/cli",
        "dkist_build_utils/commands/deployment",
        "dkist_build_utils/commands/table",
        "dkist_build_utils/deployment/supply",
        "dkist_build_utils/names",
        "dkist_build_utils/pictures/span",
        "dkist_build_utils/programs/program",
        "dkist_build_utils/programs/scheduler",
        "dkist_build_utils/programs/uv_program",
        "dkist_build_utils/release/builder",
        "dkist_build_utils/release/content",
        "dkist_build_utils/release/lock",
        "dkist_build_utils/release/manifest",
        "dkist_task/identity",
        "dkist_task/outcome",
        "dkist_task/settings",
        "dkist_task/telemetry/collector_session",
        "dkist_task/telemetry/deadline",
        "dkist_task/telemetry/exporters",
        "dkist_task/telemetry/log_format",
        "dkist_task/telemetry/metrics",
        "dkist_task/telemetry/otlp_json",
        "dkist_task/telemetry/process_spans",
        "dkist_task/telemetry/run",
        "dkist_task/telemetry/setup",
        "dkist_task/telemetry/sinks",
        "dkist_task/telemetry/span",
        "dkist_task/telemetry/trace_parent",
        "dkist_workflow/engine",
    ],
}
"""Modules without a test file of their own, by reason: shorten this list."""

OF_NO_MODULE = {
    "the whole room: the file, or the command line, that comes out of it": [
        "dkist_airflow_node/dag/test_dag_file",
        "dkist_build_utils/commands/test_commands",
        "dkist_build_utils/release/test_release",
        "dkist_task/launcher/test_children",
        "dkist_task/launcher/test_launcher",
        "dkist_task/telemetry/test_log",
        "dkist_task/telemetry/test_telemetry",
    ],
    "the script that is no Python module": [
        "dkist_airflow_node/worker/test_task_script",
        "dkist_airflow_node/worker/test_task_script_build",
        "dkist_airflow_node/worker/test_task_script_supervision",
    ],
    "the documented release pipeline": [
        "dkist_build_utils/release/test_release_pipeline",
    ],
    "what can only be seen in a real Airflow, or beside a bad collector": [
        "dkist_airflow_node/worker/test_supervision_airflow",
        "dkist_task/telemetry/test_airflow",
        "dkist_task/telemetry/test_collectors",
    ],
}
"""Test files that test no single module, by what they test."""


def modules() -> set[str]:
    """Return every module of the distributions with something in it to test, as ``package/room/module``."""
    found = set()
    for source in ROOT.glob("packages/*/src"):
        for path in source.rglob("*.py"):
            if path.stem not in NOT_TESTED_ALONE:
                found.add(path.relative_to(source).with_suffix("").as_posix())
    return found


def files_of_tests() -> set[str]:
    """Return every test file of the distributions, as ``package/room/test_name``."""
    packages = {path.name for path in ROOT.glob("packages/*/src/*")}
    files = (path for package in packages for path in (ROOT / "tests" / package).rglob("test_*.py"))
    return {path.relative_to(ROOT / "tests").with_suffix("").as_posix() for path in files}


def place_of_tests(module: str) -> str:
    """Return the test file of a module."""
    folder, _, name = module.rpartition("/")
    return f"{folder}/test_{name}"


def listed(reasons: dict[str, list[str]]) -> set[str]:
    """Return the names of a list of reasons."""
    return {name for names in reasons.values() for name in names}


def test_every_module_has_a_test_file_or_a_reason() -> None:
    """``room/module.py`` is tested in ``room/test_module.py``; a reason that is no longer needed has to go."""
    missing = {module for module in modules() if place_of_tests(module) not in files_of_tests()}
    assert sorted(missing ^ listed(TESTED_ELSEWHERE)) == []


def test_every_test_file_has_a_module_or_a_reason() -> None:
    """``room/test_module.py`` and ``room/test_module_of_some_kind.py`` test ``room/module.py``."""
    files = {place_of_tests(module) for module in modules()}
    others = {
        test for test in files_of_tests() if not any(test == file or test.startswith(f"{file}_") for file in files)
    }
    assert sorted(others ^ listed(OF_NO_MODULE)) == []
