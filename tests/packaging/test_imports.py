"""Imports run in one direction, go through the doors of the rooms, make no cycle, and do nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = Path(__file__).parents[2] / "packages"

RELATIVE = "dkist_airflow_node.worker.runner."
"""The one package of relative imports: an interpreter that has nothing of ours gets its texts, by another name."""

# Each may import those before it.
DIRECTION = ("dkist_task", "dkist_workflow", "dkist_airflow_node", "dkist_build_utils")


@dataclass(frozen=True)
class Module:
    """A module of one of the distributions."""

    name: str
    """Its full dotted name; that of the package for an ``__init__``."""
    path: Path
    """Its file."""

    @property
    def package(self) -> str:
        """The distribution's import package."""
        return self.name.partition(".")[0]

    @property
    def room(self) -> str | None:
        """The full name of the folder it is in; None for what lies beside the folders."""
        parts = self.path.relative_to(PACKAGES / self.package.replace("_", "-") / "src").parts
        return ".".join(parts[:2]) if len(parts) > 2 else None


def modules_of(package: str) -> list[Module]:
    """Return the modules of a package."""
    source = PACKAGES / package.replace("_", "-") / "src"
    found = []
    for path in sorted((source / package).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        found.append(Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


MODULES = {module.name: module for package in DIRECTION for module in modules_of(package)}
ROOMS = {module.room for module in MODULES.values() if module.room is not None}


def imports_of(module: Module) -> Iterator[tuple[int, str]]:
    """Yield line and full name of every module that a module imports, at any depth and for types only too."""
    for node in ast.walk(ast.parse(module.path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module
            if node.level and not module.name.startswith(RELATIVE):
                yield node.lineno, "a relative import"
                continue
            if node.level:
                package = module.name if module.path.stem == "__init__" else module.name.rpartition(".")[0]
                origin = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield node.lineno, inner if inner in MODULES else str(origin)


@pytest.mark.parametrize("package", DIRECTION)
def test_imports_run_in_one_direction(package: str) -> None:
    """No module imports a package to its right."""
    later = {"a relative import", *DIRECTION[DIRECTION.index(package) + 1 :]}
    wrong = [
        f"{module.name}:{line} imports {name}"
        for module in modules_of(package)
        for line, name in imports_of(module)
        if name.partition(".")[0] in later
    ]
    assert modules_of(package)
    assert wrong == []


def test_a_room_is_entered_through_its_door() -> None:
    """A module of a room is imported inside that room only; everybody else imports the room."""
    wrong = [
        f"{module.name}:{line} imports {name}"
        for module in MODULES.values()
        for line, name in imports_of(module)
        if name in MODULES and (room := MODULES[name].room) not in {None, module.room} and name != room
    ]
    assert len(ROOMS) > 8
    assert wrong == []


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_says_what_it_is_for(room: str) -> None:
    """The docstring of a room's ``__init__`` says what the room is for, and nothing but imports stands below it."""
    tree = ast.parse(MODULES[room].path.read_text(encoding="utf-8"))
    assert len(ast.get_docstring(tree) or "") > 20
    allowed = (ast.ImportFrom, ast.Assign)
    assert [ast.unparse(node) for node in tree.body[1:] if not isinstance(node, allowed)] == []


def test_no_import_cycle() -> None:
    """No module imports, directly or through others, itself: neither at run time nor for types."""
    graph = {module.name: {name for _, name in imports_of(module) if name in MODULES} for module in MODULES.values()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_airflow_is_imported_in_four_places_only() -> None:
    """The body of the DAG file, the type of what load returns, the plug-in, and the program that runs in Airflow."""
    found = {module.name for module in MODULES.values() for _, name in imports_of(module) if is_airflow(name)}
    assert found == {
        "dkist_airflow_node.dag.body",
        "dkist_airflow_node.dag.engine",
        "dkist_airflow_node.plugin",
        "dkist_build_utils.programs.airflow_program",
    }


def is_airflow(name: str) -> bool:
    """Return whether a module is Airflow's."""
    return name.partition(".")[0] == "airflow"


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
