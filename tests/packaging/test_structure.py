"""Who knows a module finds its tests, and who knows a test finds what it tests: the folders are the same."""

from __future__ import annotations

import ast
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_TESTED_ALONE = {"__init__", "__main__", "__about__"}

TESTED_IN = {
    # Real tasks, and real Pythons that start them, see more of these than a test of one function would.
    "dkist_task/launcher/test_launcher": ["dkist_task/launcher/*", "dkist_task/identity", "dkist_task/outcome"],
    "dkist_task/launcher/test_outcome_file": ["dkist_task/grace", "dkist_task/parameters"],
    "dkist_task/telemetry/test_telemetry": ["dkist_task/telemetry/*"],
    "dkist_task/test_task": ["dkist_task/errors", "dkist_task/settings"],
    # A DAG file that Airflow has read.
    "dkist_airflow_node/dag/test_dag_file": [
        "dkist_airflow_node/dag/data",
        "dkist_airflow_node/dag/engine",
        "dkist_airflow_node/dag/file",
        "dkist_airflow_node/errors",
    ],
    "dkist_airflow_node/messages/test_failure": [
        "dkist_airflow_node/messages/outbox",
        "dkist_airflow_node/messages/outgoing",
    ],
    "dkist_airflow_node/messages/test_spool": ["dkist_airflow_node/messages/spool_file"],
    "dkist_airflow_node/commands/test_command_help": ["dkist_build_utils/commands/epilogues"],
    # A small server, and an Airflow, that they ask.
    "dkist_airflow_node/site/test_reconciliation": [
        "dkist_airflow_node/site/run",
        "dkist_airflow_node/site/task_error",
    ],
    "dkist_airflow_node/commands/test_status": [
        "dkist_airflow_node/commands/prometheus",
        "dkist_airflow_node/commands/status_page",
        "dkist_airflow_node/site/release",
        "dkist_airflow_node/site/status",
    ],
    # The environment store is what these build, use, list and empty.
    # A bare interpreter that runs real tasks in real environments.
    "dkist_airflow_node/worker/runner/test_run": [
        "dkist_airflow_node/worker/runner/*",
        "dkist_airflow_node/worker/runner/cold/*",
        "dkist_airflow_node/worker/runner_process",
    ],
    "dkist_airflow_node/worker/test_store": [
        "dkist_airflow_node/worker/prebuild",
        "dkist_airflow_node/worker/store_process",
    ],
    # Programs of their own: their callers' tests run them.
    "dkist_build_utils/checks/test_import_check": ["dkist_build_utils/checks/task_import"],
    "dkist_build_utils/checks/test_function_import": ["dkist_build_utils/checks/source_file"],
    # One command, and a whole package that it rewrites.
    "dkist_build_utils/migration/test_migration": [
        "dkist_build_utils/commands/migration",
        "dkist_build_utils/migration/change",
        "dkist_build_utils/migration/decision",
        "dkist_build_utils/migration/package",
    ],
    "dkist_build_utils/migration/test_python_source": [
        "dkist_build_utils/migration/core_name",
        "dkist_build_utils/migration/import_order",
        "dkist_build_utils/migration/workflow_call",
    ],
    "dkist_build_utils/migration/test_requirement_list": ["dkist_build_utils/migration/usage"],
    "dkist_build_utils/programs/test_airflow": ["dkist_build_utils/programs/airflow_program"],
    "dkist_build_utils/commands/test_cli": [
        "dkist_build_utils/commands/deployment",
        "dkist_build_utils/commands/trust",
    ],
    # The command is started, killed and started again: what its parts do together is what is promised.
    "dkist_build_utils/local_run/test_run": ["dkist_build_utils/commands/run", "dkist_build_utils/local_run/*"],
    "dkist_build_utils/deployment/test_deployment": [
        "dkist_build_utils/deployment/leftover",
        "dkist_build_utils/deployment/supply",
    ],
    "dkist_build_utils/deployment/test_finding": ["dkist_build_utils/deployment/vulnerability"],
    "dkist_build_utils/pictures/test_graph_svg": ["dkist_build_utils/pictures/drawing"],
    "dkist_build_utils/records/test_crate": ["dkist_build_utils/records/entities"],
    "dkist_build_utils/release/test_builder": ["dkist_build_utils/release/environment"],
    "dkist_build_utils/release/test_manifest": ["dkist_build_utils/release/provenance"],
    "dkist_build_utils/release/test_origin": ["dkist_build_utils/release/wheel"],
    "dkist_build_utils/release/test_signature": ["dkist_build_utils/programs/ssh_keygen"],
    "dkist_build_utils/release/test_tarball": ["dkist_build_utils/release/stored_gzip"],
    "dkist_build_utils/release/test_wheel_folder": ["dkist_build_utils/release/wheelhouse"],
    "dkist_build_utils/release/test_source": ["dkist_build_utils/programs/git"],
    "dkist_build_utils/checks/test_validation": [
        "dkist_build_utils/checks/airflow_check",
        "dkist_build_utils/checks/step",
        "dkist_build_utils/errors",
    ],
}
"""By test file, the modules that have none of their own and are tested there; ``*`` stands for the rest of a room."""

OF_NO_MODULE = {
    "the whole room: the file, or the process, that comes out of it": [
        "dkist_airflow_node/dag/test_dag_file",
        "dkist_build_utils/local_run/test_locked",
        "dkist_build_utils/local_run/test_resume",
        "dkist_task/launcher/test_children",
        "dkist_task/launcher/test_launcher",
        "dkist_task/launcher/test_outcome_file",
        "dkist_task/telemetry/test_log",
        "dkist_task/telemetry/test_telemetry",
    ],
    "a document: what it shows is run": [
        "dkist_build_utils/test_release_pipeline",
        "dkist_workflow/test_readme",
    ],
    "what can only be seen in a real Airflow, or beside a bad collector": [
        "dkist_airflow_node/worker/test_supervision_airflow",
        "dkist_task/telemetry/test_airflow",
        "dkist_task/telemetry/test_collectors",
    ],
}
"""Test files that test no single module, by what they test."""


def modules() -> set[str]:
    """Return every module of the distributions with something in it to test, as ``package/room/module``.

    The files of a new instrument package are no modules: ``commands/test_new`` runs their own tests.
    """
    found = set()
    for source in ROOT.glob("packages/*/src"):
        for path in source.rglob("*.py"):
            if path.stem not in NOT_TESTED_ALONE and "template" not in path.parts:
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


def test_every_module_has_a_test_file() -> None:
    """``room/module.py`` is tested in ``room/test_module.py``, or where the list says; the list names nothing else."""
    missing = {module for module in modules() if place_of_tests(module) not in files_of_tests()}
    patterns = listed(TESTED_IN)
    assert sorted(module for module in missing if not any(fnmatch(module, pattern) for pattern in patterns)) == []
    assert sorted(pattern for pattern in patterns if not any(fnmatch(module, pattern) for module in missing)) == []
    assert sorted(TESTED_IN.keys() - files_of_tests()) == []


def test_every_test_file_has_a_module_or_a_reason() -> None:
    """``room/test_module.py`` and ``room/test_module_of_some_kind.py`` test ``room/module.py``."""
    files = {place_of_tests(module) for module in modules()}
    others = {
        test for test in files_of_tests() if not any(test == file or test.startswith(f"{file}_") for file in files)
    }
    assert sorted(others ^ listed(OF_NO_MODULE)) == []


def test_suppressions_stay_rare() -> None:
    """A rule that needs many exceptions is changed in the lint configuration, with the reason."""
    folders = ("benchmarks", "docs", "examples", "harness", "packages", "tests")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    mark = "# no" + "qa:"
    lines = [f"{path}: {line}" for path in files for line in path.read_text("utf-8").splitlines() if mark in line]
    assert len(lines) < 15, lines


def test_errors_stand_in_errors() -> None:
    """Who looks for an error finds it in the module ``errors``; what a module keeps to itself has an underscore."""
    elsewhere = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in ROOT.glob("packages/*/src/**/*.py")
        if path.stem != "errors"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error") and not node.name.startswith("_")
    ]
    assert elsewhere == []


def test_contributing_says_where_everything_goes() -> None:
    """CONTRIBUTING names every room, and every module that is in none."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = NOT_TESTED_ALONE | {"errors"}
    rooms, beside = set(), set()
    for module in modules():
        package, *folders, name = module.split("/")
        if package == "dkist_workflow":  # one room
            rooms.add(package)
        elif folders:
            rooms.add(f"{package}/{folders[0]}")
        elif name not in named:
            beside.add(module)
    assert sorted(room for room in rooms if f"`{room}/`" not in text) == []
    assert sorted(module for module in beside if f"`{module}.py`" not in text) == []
