"""Imports run in one direction, and importing does nothing else."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[2] / "packages"

# Each may import those before it.
DIRECTION = ("dkist_task", "dkist_workflow", "dkist_airflow_node", "dkist_build_utils")


def modules(package: str) -> list[Path]:
    """Return the modules of a package."""
    return sorted((PACKAGES / package.replace("_", "-") / "src" / package).rglob("*.py"))


def imported_packages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and top-level name of every import in a module, at any depth."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "a relative import" if node.level else str(node.module).partition(".")[0]


@pytest.mark.parametrize("package", DIRECTION)
def test_imports_run_in_one_direction(package: str) -> None:
    """No module imports a package to its right."""
    later = {"a relative import", *DIRECTION[DIRECTION.index(package) + 1 :]}
    wrong = [
        f"{path.name}:{line} imports {name}"
        for path in modules(package)
        for line, name in imported_packages(path)
        if name in later
    ]
    assert modules(package)
    assert wrong == []


def test_airflow_is_imported_in_three_places_only() -> None:
    """The body of the DAG file, the type of what load returns, and the program that runs inside Airflow."""
    found = {path.name for package in DIRECTION for path in modules(package) if "airflow" in imported_names(path)}
    assert found == {"airflow_program.py", "dag_body.py", "engine.py"}


def imported_names(path: Path) -> set[str]:
    """Return the top-level names that a module imports."""
    return {name for _, name in imported_packages(path)}


@pytest.mark.parametrize("package", DIRECTION)
def test_importing_sets_up_nothing(package: str) -> None:
    """An import configures no logging, instruments nothing, starts no thread and installs no signal handler."""
    program = f"""
import logging, os, signal, sys, threading, warnings
handlers, environment = list(logging.root.handlers), dict(os.environ)
signals = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP)]
hook = sys.excepthook
import {package}
from opentelemetry import metrics, trace
assert logging.root.handlers == handlers
assert dict(os.environ) == environment
assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP)] == signals
assert sys.excepthook is hook
assert threading.active_count() == 1
assert "airflow" not in sys.modules and "opentelemetry.sdk" not in sys.modules
assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider"
print("nothing")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("nothing\n", "")
