"""What the rewritten code of a client imports, from which its requirements follow."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePosixPath


@dataclass(frozen=True)
class Usage:
    """What a package imports, without and with its tests."""

    of_code: frozenset[str] = frozenset()
    """Dotted names of the modules that its own modules import."""
    of_workflows: frozenset[str] = frozenset()
    """Those that modules with workflows import."""
    of_tests: frozenset[str] = frozenset()
    """Those that its tests import."""
    is_loaded_in_tests: bool = False
    """Whether a test loads a workflow, which needs Airflow."""
    categories: frozenset[str] = frozenset()
    """The categories of its workflows, as the core has them: the instruments."""

    def imports(self, package: str, *, in_tests: bool = False) -> bool:
        """Return whether a package, or a module of it, is imported."""
        names = self.of_tests if in_tests else self.of_code | self.of_workflows
        return any(name == package or name.startswith(f"{package}.") for name in names)


def is_test(path: PurePosixPath) -> bool:
    """Return whether a file is of tests."""
    in_folder = {"test", "tests"} & set(path.parts[:-1])
    return bool(in_folder) or path.name.startswith("test_") or path.name == "conftest.py"


def usage_of(modules: Iterable[tuple[PurePosixPath, bytes]]) -> Usage:
    """Return what modules import; one that is not Python counts for nothing.

    Parameters
    ----------
    modules : iterable of (path, bytes)
        The files and their source.
    """
    code: set[str] = set()
    workflows: set[str] = set()
    tests: set[str] = set()
    categories: set[str] = set()
    is_loaded = False
    for path, source in modules:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        found = {name for node in ast.walk(tree) for name in _imported(node)}
        if is_test(path):
            tests |= found
            is_loaded |= _loads_workflow(tree, found)
        elif any(name.partition(".")[0] == "dkist_workflow" for name in found):
            workflows |= found
            categories |= {text for node in ast.walk(tree) for text in _category(node)}
        else:
            code |= found
    return Usage(frozenset(code), frozenset(workflows), frozenset(tests), is_loaded, frozenset(categories))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def _loads_workflow(tree: ast.AST, imported: set[str]) -> bool:
    """Return whether something is loaded where there are workflows: it can be a workflow."""
    return any("workflow" in name for name in imported) and any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "load"
        and not node.args
        for node in ast.walk(tree)
    )


def _category(node: ast.AST) -> list[str]:
    """Return the category of a workflow that is named by texts: the first part of its name."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "Workflow":
        return []
    names = [each.value for each in node.keywords if each.arg == "process_name"]
    return [
        name.value.partition("_")[0] for name in names if isinstance(name, ast.Constant) and isinstance(name.value, str)
    ]
