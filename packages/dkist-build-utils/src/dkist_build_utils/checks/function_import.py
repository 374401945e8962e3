"""Imports inside functions that the environment of a task will not have: found in the source, nothing is run.

An import at the top of a module is tried for real (see `import_check`). One in a function fails hours later, when the
function is called. So the source of each task is read: its methods that the engine calls, what they refer to in the
modules of their own package, and so on. A module of the package that is imported in a function counts as well, with
what it imports at its top.

What cannot be followed is passed over: a name that is computed, or a function that a module of another distribution
calls. Where a missing module is expected (``try`` with ``except ImportError``, ``contextlib.suppress``, ``if
TYPE_CHECKING``), nothing is wrong.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dkist_build_utils.checks.source_file import (
    Definition,
    Import,
    SourceFile,
    attributes_of,
    has_super,
    references_of,
    source_of_module,
)
from dkist_task import TaskBase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ENTRIES = frozenset(name for name in dir(TaskBase) if name not in dir(object)) | {"__init__", "__new__", "__del__"}
"""The methods that are called although the class itself does not name them."""

_DEEPEST = 10
"""How many modules that only re-export a name are followed: two of them may name each other."""


@dataclass(frozen=True)
class MissingImport:
    """An import of a module that an environment will not have."""

    place: str
    """File and line, as ``tasks/simulate.py:12`` below the folder of the top-level package."""
    module: str
    """The dotted name of the module."""
    function: str
    """The function in which it is imported, or that imports the module that does."""


def missing_imports(
    task: type[TaskBase], absent: Mapping[str, str], *, is_all_known: bool
) -> tuple[MissingImport, ...]:
    """Return the imports that would fail when a task runs.

    Parameters
    ----------
    task : type of TaskBase
        The class of the task, imported here.
    absent : mapping of str to str
        The top-level modules that its environment will not have, and the distributions that hold them.
    is_all_known : bool
        Whether all that its environment will have is installed here, so that it lacks what is not here.
    """
    reader = _Reader(absent, is_all_known=is_all_known)
    reader.read_task(task)
    return tuple(dict.fromkeys(reader.found))


class _Reader:
    """Follows what a task refers to; each function is read once."""

    def __init__(self, absent: Mapping[str, str], *, is_all_known: bool) -> None:
        self._absent = absent
        self._is_all_known = is_all_known
        self._seen: set[tuple[str, str, int]] = set()
        self._imported: set[str] = set()
        self.found: list[MissingImport] = []

    def read_task(self, task: type[TaskBase]) -> None:
        """Read what the engine calls of a task, and what that refers to."""
        self._imported |= _imported_with(task.__module__)
        own = [
            kind for kind in task.__mro__ if kind is not object and kind.__module__.partition(".")[0] != "dkist_task"
        ]
        methods = list(_methods(own))
        reached: set[str] = set(_ENTRIES)
        read: set[int] = set()
        # A method is reached by its name, whatever object it is called on; so is a property.
        while pending := [each for each in methods if each[1].name in reached and id(each[1]) not in read]:
            for source, method in pending:
                read.add(id(method))
                reached |= attributes_of(method)
                self._read(source, method, method.name)

    def _read(self, source: SourceFile, definition: Definition, function: str) -> None:
        """Read one function, or a class with all of its methods."""
        key = (source.module, definition.name, definition.lineno)
        if key in self._seen:
            return
        self._seen.add(key)
        package = source.module if source.path.name == "__init__.py" else source.module.rpartition(".")[0]
        references = references_of(definition, package)
        bound = {name: each for each in references.imports for name in each.names}
        for each in references.imports:
            self._import(each, source, function)
        for name in references.names:
            self._follow(name, source, bound)

    def _follow(self, name: str, source: SourceFile, bound: Mapping[str, Import]) -> None:
        """Read what a name, or an attribute of one, refers to, if it is a function or class of the same package."""
        first, _, attribute = name.partition(".")
        if not attribute and first not in bound and first in source.definitions:
            definition = source.definitions[first]
            self._read(source, definition, definition.name)
        elif (each := bound.get(first) or source.bindings.get(first)) is not None:
            inner = each.names.get(first)
            if attribute:  # 'helper.f' after 'from package import helper' or 'import package.helper as helper'
                self._read_in(each.module if inner is None else f"{each.module}.{inner}", attribute, source)
            else:
                self._read_in(each.module, inner, source)

    def _read_in(self, module: str, name: str | None, user: SourceFile, depth: int = 0) -> None:
        """Read a function or class of another module of the same package, where it is defined."""
        if name is None or depth > _DEEPEST or not _is_same_package(module, user.module):
            return
        source = source_of_module(module)
        if source is None:
            return
        definition = source.definitions.get(name)
        if definition is not None:
            self._read(source, definition, definition.name)
        elif name in source.bindings:
            each = source.bindings[name]
            self._read_in(each.module, each.names.get(name), source, depth + 1)

    def _import(self, each: Import, source: SourceFile, function: str) -> None:
        """Note what an import in a function lacks, by itself or in the module of the package that it imports."""
        if self._is_absent(each.module.partition(".")[0]):
            self.found.append(MissingImport(f"{source.place}:{each.line}", each.module, function))
        elif _is_same_package(each.module, source.module):
            for module in _modules_of(each):
                self._import_module(module, function)

    def _is_absent(self, top: str) -> bool:
        return top in self._absent or (self._is_all_known and not _is_here(top))

    def _import_module(self, module: str, function: str) -> None:
        """Note what a module of the package lacks at its top, with the modules of the package that it imports."""
        if module in self._imported:
            return
        self._imported.add(module)
        source = source_of_module(module)
        for each in source.imports if source is not None else ():
            if source is not None:
                self._import(each, source, function)


@cache
def _imported_with(module: str) -> frozenset[str]:
    """Return a module, its packages, and what these import of the same package at their top: that is tried for real."""
    found: set[str] = set()
    pending = [module.rsplit(".", count)[0] for count in range(module.count(".") + 1)]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found.add(name)
        source = source_of_module(name)
        for each in source.imports if source is not None else ():
            if _is_same_package(each.module, module):
                pending += _modules_of(each)
    return frozenset(found)


def _methods(kinds: list[type]) -> Iterator[tuple[SourceFile, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield the methods that a class has, with those that they override and call by ``super()``."""
    hidden: set[str] = set()
    for kind in kinds:
        source = source_of_module(kind.__module__)
        definition = source.definitions.get(kind.__name__) if source is not None else None
        if source is None or not isinstance(definition, ast.ClassDef):
            continue
        for method in definition.body:
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.name not in hidden:
                yield source, method
        hidden |= {
            method.name
            for method in definition.body
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and not has_super(method)
        }


def _modules_of(each: Import) -> Iterator[str]:
    """Yield the modules that an import runs: packages first, and names that are modules themselves."""
    parts = each.module.split(".")
    yield from (".".join(parts[: count + 1]) for count in range(len(parts)))
    for name in each.names.values():
        if name is not None and source_of_module(f"{each.module}.{name}") is not None:
            yield f"{each.module}.{name}"


@cache
def _is_here(top: str) -> bool:
    """Return whether a top-level module can be imported here."""
    try:
        return top in sys.modules or find_spec(top) is not None
    except (ImportError, ValueError):
        return True  # nobody knows


def _is_same_package(module: str, other: str) -> bool:
    top = module.partition(".")[0]
    return top == other.partition(".")[0] and top not in sys.stdlib_module_names
