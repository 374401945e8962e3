"""Where the new imports of a module go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    _Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement

_OURS = frozenset({"dkist_build_utils", "dkist_task", "dkist_workflow"})


def inserted_imports(module: cst.Module, names: Mapping[str, str]) -> cst.Module:
    """Return a module that imports these names, unless it does already.

    Parameters
    ----------
    module : Module
        The module.
    names : mapping of str to str
        By name, the module to import it from.
    """
    body = list(module.body)
    for name, origin in names.items():
        if any(name in _imported_names(each) for each in body):
            continue
        statement = cst.ImportFrom(module=cst.Name(origin), names=[cst.ImportAlias(cst.Name(name))])
        line = cst.SimpleStatementLine([statement])
        places = [number for number, each in enumerate(body) if _origin(each)]
        alike = [number for number in places if _origin(body[number]) == origin]
        ours = [number for number in places if _origin(body[number]).partition(".")[0] in _OURS]
        later = [number for number in places if _origin(body[number]) != "__future__"] or places
        body.insert(((alike or ours or later or [_docstring_end(module) - 1])[-1]) + 1, line)
    return module.with_changes(body=body)


def sorted_imports(module: cst.Module, added: Collection[str]) -> cst.Module:
    """Return a module in which the new imports are where isort would put them, if the others are in that order.

    Only lines that follow each other without a blank line change places. Comments above a line go with it.

    Parameters
    ----------
    module : Module
        The module.
    added : collection of str
        The modules that the new imports name.
    """
    body = list(module.body)
    start = 0
    while start < len(body):
        end = start
        while end < len(body) and _origin(body[end]) and (end == start or not _has_blank_line(body[end])):
            end += 1
        run = body[start:end]
        others = [_key(each) for each in run if _origin(each) not in added]
        if len(run) > 1 and len(others) < len(run) and others == sorted(others):
            body[start:end] = _with_first_space(run, sorted(run, key=_key))
        start = max(end, start + 1)
    return module.with_changes(body=body)


def _docstring_end(module: cst.Module) -> int:
    return 1 if module.get_docstring() is not None else 0


def _import_of(statement: _Statement) -> cst.ImportFrom | None:
    if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1:
        only = statement.body[0]
        if isinstance(only, cst.ImportFrom):
            return only
    return None


def _origin(statement: _Statement) -> str:
    """Return the module that a line imports from; empty if it is another kind of line, or a relative import."""
    found = _import_of(statement)
    if found is None or found.relative or found.module is None:
        return ""
    return cst.Module([]).code_for_node(found.module)


def _imported_names(statement: _Statement) -> set[str]:
    found = _import_of(statement)
    if found is None or isinstance(found.names, cst.ImportStar):
        return set()
    return {alias.evaluated_alias or alias.evaluated_name for alias in found.names}


def _key(statement: _Statement) -> tuple[str, int, str]:
    """Return isort's key: the module, then constants, classes and functions by name."""
    found = _import_of(statement)
    first = "" if found is None or isinstance(found.names, cst.ImportStar) else found.names[0].evaluated_name
    kind = 0 if first.isupper() and len(first) > 1 else 1 if first[:1].isupper() else 2
    return _origin(statement).lower(), kind, first


def _has_blank_line(statement: _Statement) -> bool:
    return any(line.comment is None for line in statement.leading_lines)


def _with_first_space(before: Sequence[_Statement], after: Sequence[_Statement]) -> list[_Statement]:
    """Return the lines in their new order, with the blank lines of the first of the old order above the first."""
    head = before[0]
    blanks = [number for number, line in enumerate(head.leading_lines) if line.comment is None]
    split = blanks[-1] + 1 if blanks else 0
    space, own = head.leading_lines[:split], head.leading_lines[split:]
    placed = [each.with_changes(leading_lines=own) if each is head else each for each in after]
    return [placed[0].with_changes(leading_lines=[*space, *placed[0].leading_lines]), *placed[1:]]
