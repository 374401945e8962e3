"""What the source of a module says: its names, its classes and functions, and what is imported where."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)
"""What can hold an import statement, or be one; no expression can."""
_CAUGHT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
"""What a handler may catch so that a missing module is not an error."""


@dataclass(frozen=True)
class Import:
    """One module that one statement imports."""

    module: str
    """The dotted name, absolute."""
    names: Mapping[str, str | None]
    """The names that it binds: each with the name in the module that it stands for, None for the module itself."""
    line: int
    """The line of the statement."""


@dataclass(frozen=True)
class SourceFile:
    """The source of a module."""

    module: str
    """Its dotted name."""
    path: Path
    """Its file."""
    imports: tuple[Import, ...]
    """What is imported when the module is imported, unless a missing module is expected there."""
    definitions: Mapping[str, Definition]
    """Its classes and functions at the top level, by name."""
    bindings: Mapping[str, Import] = field(default_factory=dict)
    """The import that binds each name at the top level, those that are for types or expected to fail included."""

    @property
    def place(self) -> str:
        """The path below the folder that the top-level package is in."""
        depth = self.module.count(".") + (2 if self.path.name == "__init__.py" else 1)
        return "/".join(self.path.parts[-depth:])


@cache
def source_of_module(module: str) -> SourceFile | None:
    """Return the source of a module; None if it has none, or cannot be read. Nothing is imported."""
    path = _path_of(module)
    if path is None:
        return None
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    everything = [each for node in _top_level(tree, skip=False) for each in imports_of(node, package)]
    return SourceFile(
        module,
        path,
        tuple(each for node in _top_level(tree, skip=True) for each in imports_of(node, package)),
        {node.name: node for node in tree.body if isinstance(node, Definition)},
        {name: each for each in everything for name in each.names},
    )


@dataclass(frozen=True)
class References:
    """What a function, or a class with all of its methods, refers to when it runs."""

    imports: tuple[Import, ...]
    """What it imports."""
    names: tuple[str, ...]
    """The names that it uses, each once: ``name``, and ``name.attribute``."""


@cache
def references_of(definition: Definition, package: str) -> References:
    """Return what a definition in a module of a package refers to; several tasks ask for the same one."""
    imports: list[Import] = []
    names: dict[str, None] = {}
    for node in statements_that_run(definition):
        imports += imports_of(node, package)
        if isinstance(node, ast.Name):
            names[node.id] = None
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names[f"{node.value.id}.{node.attr}"] = None
    return References(tuple(imports), tuple(names))


@cache
def attributes_of(definition: Definition) -> frozenset[str]:
    """Return the names of all attributes that a definition uses, of whatever object."""
    return frozenset(node.attr for node in ast.walk(definition) if isinstance(node, ast.Attribute))


@cache
def has_super(definition: Definition) -> bool:
    """Return whether a definition uses ``super``."""
    return any(isinstance(node, ast.Name) and node.id == "super" for node in ast.walk(definition))


def imports_of(node: ast.AST, package: str) -> Iterator[Import]:
    """Yield what one statement imports; nothing for any other statement."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            yield Import(alias.name, {bound: None}, node.lineno)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if node.level:
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1])
            module = f"{base}.{module}" if module else base
        yield Import(module, {alias.asname or alias.name: alias.name for alias in node.names}, node.lineno)


def statements_that_run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it, except for what is only for types and what may fail with ImportError."""
    yield node
    types = (getattr(node, "annotation", None), getattr(node, "returns", None))
    for child in _children_that_run(node):
        if not any(child is each for each in types):
            yield from statements_that_run(child)


def _children_that_run(node: ast.AST) -> list[ast.AST]:
    """Return what is directly below a node, except for what is only for types and what may fail with ImportError."""
    if isinstance(node, ast.If) and _is_type_checking(node.test):
        return list(node.orelse)
    if isinstance(node, ast.Try | ast.TryStar) and any(_catches(handler.type) for handler in node.handlers):
        # What a handler does instead is an error as well if it cannot be imported; 'else' follows an import.
        return [*node.handlers, *node.finalbody]
    if isinstance(node, ast.With) and any(_suppresses(item.context_expr) for item in node.items):
        return []
    return list(ast.iter_child_nodes(node))


def _top_level(tree: ast.Module, *, skip: bool) -> Iterator[ast.AST]:
    """Yield the statements that run when a module is imported: none of a function, guarded ones only if asked for."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield node
        children = _children_that_run(node) if skip else ast.iter_child_nodes(node)
        pending += [child for child in children if isinstance(child, _STATEMENTS)]


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _catches(kind: ast.expr | None) -> bool:
    """Return whether a handler for this kind of error takes a missing module."""
    if isinstance(kind, ast.Tuple):
        return any(map(_catches, kind.elts))
    name = kind.id if isinstance(kind, ast.Name) else kind.attr if isinstance(kind, ast.Attribute) else None
    return kind is None or name in _CAUGHT


def _suppresses(context: ast.expr) -> bool:
    """Return whether a context manager is ``suppress(ImportError)``, or ``raises`` of a test."""
    if not isinstance(context, ast.Call):
        return False
    called = context.func
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return name in {"suppress", "raises"} and any(map(_catches, context.args))


def _path_of(module: str) -> Path | None:
    """Return the file of a module's source, without importing anything that is not imported already."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    if loaded is None:
        if "." in module and module.rpartition(".")[0] not in sys.modules:
            return _path_below(module)
        try:
            spec = find_spec(module)
        except (ImportError, ValueError, AttributeError):
            return None
        file = spec.origin if spec is not None else None
    return Path(file) if isinstance(file, str) and file.endswith(".py") else None


def _path_below(module: str) -> Path | None:
    """Return the file of a module whose package is not imported, beside the package's own file."""
    package, _, name = module.rpartition(".")
    around = _path_of(package)
    if around is None or around.name != "__init__.py":
        return None
    found = (around.parent / f"{name}.py", around.parent / name / "__init__.py")
    return next((each for each in found if each.is_file()), None)
