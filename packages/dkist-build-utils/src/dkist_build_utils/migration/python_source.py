"""One Python module of a client, rewritten; comments and formatting stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider

from dkist_build_utils.errors import NotUnderstoodError
from dkist_build_utils.migration.core_name import (
    CORE,
    METRIC_PREFIX,
    SETTINGS_MODULE,
    SUCCESSORS,
    advice,
    renamed_in_text,
)
from dkist_build_utils.migration.decision import Rewritten
from dkist_build_utils.migration.import_order import inserted_imports, sorted_imports
from dkist_build_utils.migration.workflow_call import DETAILS, rewritten_call

if TYPE_CHECKING:
    from collections.abc import Sequence

_OF_THE_CORE = (CORE, "base_telemetry_attributes", "format_metric_name", "telemetry_span", "input_data")
"""A module with none of these texts has nothing to rewrite."""

_GONE = dict.fromkeys(sorted(DETAILS), "a workflow keeps process_category and process_name; use these")
_GONE |= {
    "topological_sort": "Workflow.nodes is in an order in which every task comes after its upstreams",
    "task_execution_counter": "every run is counted without it (dkist.task.runs); remove it",
}
"""Attributes that nothing replaces, and what to do."""


def rewritten_module(content: bytes, package: str) -> Rewritten:
    """Return a module as one of ours.

    Parameters
    ----------
    content : bytes
        Its source.
    package : str
        The top-level package that it is in.

    Raises
    ------
    SyntaxError
        It is not Python; `lineno` says where.
    UnicodeDecodeError
        It is not in the encoding that it states.
    """
    if not any(name.encode() in content for name in _OF_THE_CORE):
        return Rewritten(content)
    try:
        module = cst.parse_module(content)
    except cst.ParserSyntaxError as error:
        raise SyntaxError(error.message, ("", error.raw_line, error.raw_column, None)) from error
    wrapper = MetadataWrapper(module)
    rewriting = _Rewriting(wrapper.module, f"{package}.{SETTINGS_MODULE}")
    changed = wrapper.visit(rewriting)
    if changed.deep_equals(wrapper.module):
        return Rewritten(content, tuple(sorted(rewriting.decisions)))
    changed = inserted_imports(changed, rewriting.needed)
    changed = sorted_imports(changed, rewriting.added_modules | set(rewriting.needed.values()))
    result = changed.bytes
    return Rewritten(result, _moved(rewriting.decisions, content, result))


def _moved(decisions: Sequence[tuple[int, str]], before: bytes, after: bytes) -> tuple[tuple[int, str], ...]:
    """Return decisions with the lines that the same text has after the rewriting."""
    old, new = before.splitlines(), after.splitlines()
    moved = []
    for line, what in decisions:
        text = old[line - 1] if line <= len(old) else b""
        same = [number for number, each in enumerate(new, start=1) if each == text]
        moved.append((min(same, key=lambda number: abs(number - line), default=line), what))
    return tuple(sorted(set(moved)))


def _full_name(node: cst.CSTNode | None) -> str:
    """Return a dotted name as text; empty if the node is none."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        head = _full_name(node.value)
        return f"{head}.{node.attr.value}" if head else ""
    return ""


def _annotation(parameter: cst.Param) -> str:
    return "" if parameter.annotation is None else _full_name(parameter.annotation.annotation)


def _bindings(module: cst.Module) -> dict[str, str]:
    """Return by local name what a module imports from the core, or from what replaces it."""
    bound = {}
    for found in m.findall(module, m.ImportFrom()):
        statement = cst.ensure_type(found, cst.ImportFrom)
        origin = _full_name(statement.module)
        if statement.relative or isinstance(statement.names, cst.ImportStar):
            continue
        if origin.split(".")[0] in {CORE, "dkist_workflow", "dkist_build_utils"}:
            for alias in statement.names:
                bound[alias.evaluated_alias or alias.evaluated_name] = f"{origin}.{alias.evaluated_name}"
    return bound


class _Rewriting(cst.CSTTransformer):
    """A walk through one module."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, module: cst.Module, settings_module: str) -> None:
        super().__init__()
        self.decisions: list[tuple[int, str]] = []
        """Line and text of what a person must decide."""
        self.needed: dict[str, str] = {}
        """Names that the new text uses and nothing imports yet, with their modules."""
        self.added_modules: set[str] = {settings_module}
        """Modules that the new imports name."""
        self._settings_module = settings_module
        bound = _bindings(module)
        self._names = {local: full for local, full in bound.items() if full.startswith(f"{CORE}.")}
        self._workflow_names = {local for local, full in bound.items() if full.endswith(".Workflow")}
        self._core_workflow_names = self._workflow_names & self._names.keys()
        self._workflows = self._variables(module)

    def _variables(self, module: cst.Module) -> set[str]:
        """Return the names of variables and parameters that hold a workflow."""
        calls = m.Call(func=m.OneOf(*(m.Name(name) for name in self._workflow_names or {""})))
        found = set()
        for node in m.findall(module, m.Assign(value=calls) | m.Param()):
            if isinstance(node, cst.Assign):
                found |= {_full_name(target.target) for target in node.targets}
            elif isinstance(node, cst.Param) and _annotation(node) in self._workflow_names:
                found.add(node.name.value)
        return found - {""}

    def _decide(self, node: cst.CSTNode, what: str) -> None:
        position = self.get_metadata(PositionProvider, node, None)
        self.decisions.append((1 if position is None else position.start.line, what))

    # Imports

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine]:
        """Split an import from the core by what replaces its names."""
        imports = [
            each
            for each in original_node.body
            if isinstance(each, cst.Import | cst.ImportFrom) and self._is_core_import(each)
        ]
        if not imports:
            return updated_node
        statement = imports[0]
        if isinstance(statement, cst.Import):
            self._decide(original_node, f"import names from {CORE} ('from ... import'), then migrate again")
            return updated_node
        if len(original_node.body) > 1 or isinstance(statement.names, cst.ImportStar):
            self._decide(original_node, "write one 'from ... import name' on a line of its own, then migrate again")
            return updated_node
        groups: dict[str, list[cst.ImportAlias]] = {}
        for alias in statement.names:
            full = f"{_full_name(statement.module)}.{alias.evaluated_name}"
            successor = SUCCESSORS.get(full)
            if successor is None:
                self._decide(original_node, advice(full))
                groups.setdefault(_full_name(statement.module), []).append(alias)
                continue
            module = successor.module or self._settings_module
            self.added_modules.add(module)
            groups.setdefault(module, []).append(_renamed(alias, successor.name))
        if groups.keys() == {_full_name(statement.module)}:
            return updated_node
        if len(groups) == 1:
            ((module, aliases),) = groups.items()
            names = [new.with_changes(comma=old.comma) for new, old in zip(aliases, statement.names, strict=True)]
            only = statement.with_changes(module=_dotted(module), names=names)
            return updated_node.with_changes(body=[only])
        lines = []
        for number, (module, aliases) in enumerate(groups.items()):
            names = [alias.with_changes(comma=cst.MaybeSentinel.DEFAULT) for alias in aliases]
            body = [cst.ImportFrom(module=_dotted(module), names=names)]
            first, last = number == 0, number == len(groups) - 1
            lines.append(
                cst.SimpleStatementLine(
                    body=body,
                    leading_lines=updated_node.leading_lines if first else (),
                    trailing_whitespace=updated_node.trailing_whitespace if last else cst.TrailingWhitespace(),
                )
            )
        return cst.FlattenSentinel(lines)

    @staticmethod
    def _is_core_import(statement: cst.Import | cst.ImportFrom) -> bool:
        if isinstance(statement, cst.ImportFrom):
            return not statement.relative and _full_name(statement.module).split(".")[0] == CORE
        return any(alias.evaluated_name.split(".")[0] == CORE for alias in statement.names)

    # Calls

    def visit_Call(self, node: cst.Call) -> None:
        """Note calls that look like those of the core and may be something else."""
        keywords = {argument.keyword.value for argument in node.args if argument.keyword is not None}
        given = {_full_name(argument.value) for argument in node.args}
        name = _full_name(node.func)
        if given & self._workflow_names and keywords & DETAILS:
            self._decide(node, "the details of a Workflow are passed through another call: name it by process_category "
                               "and process_name (dkist_workflow.workflow_arguments converts)")  # fmt: skip
        elif (
            name not in self._workflow_names and name.endswith("Workflow") and {"input_data", "output_data"} <= keywords
        ):
            self._decide(node, f"{name} is named by input_data and output_data, and is not imported from {CORE} here: "
                               "if it passes them on, see dkist_workflow.workflow_arguments")  # fmt: skip
        if name.endswith(".telemetry_span"):
            positional = [argument for argument in node.args if argument.keyword is None]
            if len(positional) > 1 or keywords - {"name", "attributes"}:
                self._decide(node, "telemetry_span takes a name and attributes; the parent is the current span")

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        """Rewrite calls of what the core has."""
        name = _full_name(original_node.func)
        if name in self._workflow_names:
            try:
                call, needed = rewritten_call(updated_node, is_core=name in self._core_workflow_names)
            except NotUnderstoodError as error:
                self._decide(original_node, str(error))
                return updated_node
            self.needed.update(needed)
            return call
        full = self._names.get(name, "")
        if full.endswith(".validate_workflows") and len(original_node.args) != 1:
            self._decide(original_node, "validate_workflows takes the package alone and leaves no files; use "
                                        "'dkist-build export' for a release")  # fmt: skip
        if full.endswith(".export_dags"):
            self._decide(original_node, "export makes the folder <distribution>_<version> in this folder, with locks, "
                                        "and returns its path")  # fmt: skip
        if isinstance(updated_node.func, cst.Attribute):
            return self._method_call(original_node, updated_node, updated_node.func)
        return updated_node

    def _method_call(self, original: cst.Call, updated: cst.Call, func: cst.Attribute) -> cst.BaseExpression:
        owner, name = _full_name(func.value), func.attr.value
        if name == "format_metric_name" and len(updated.args) == 1 and not updated.args[0].star:
            return _metric_name(updated.args[0].value)
        if name not in {"export_dag", "export_notebook"} or owner == "self":
            return updated
        if owner not in self._workflows:
            if self._workflow_names:
                self._decide(original, f"if this is a Workflow, {name} is: export (a DAG file without a lock), or "
                                       "dkist_build_utils.write_notebook(workflow, folder)")  # fmt: skip
            return updated
        if name == "export_dag":
            arguments = updated.args or [cst.Arg(cst.SimpleString('"export/"'))]
            return updated.with_changes(func=func.with_changes(attr=cst.Name("export")), args=arguments)
        self.needed["write_notebook"] = "dkist_build_utils"
        folder = [argument.with_changes(keyword=None, equal=cst.MaybeSentinel.DEFAULT) for argument in updated.args]
        comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
        arguments = [cst.Arg(func.value, comma=comma), *(folder or [cst.Arg(cst.SimpleString('"notebooks/"'))])]
        return updated.with_changes(func=cst.Name("write_notebook"), args=arguments)

    # Attributes, classes, texts

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        """Note that a client sets what the core set."""
        if m.matches(node.target, m.Attribute(attr=m.Name("base_telemetry_attributes"))):
            self._decide(node, "telemetry_attributes cannot be set: give more attributes where they are used")

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.BaseExpression:
        """Rename attributes of tasks and workflows."""
        name, owner = original_node.attr.value, _full_name(original_node.value)
        if name == "base_telemetry_attributes":
            return updated_node.with_changes(attr=cst.Name("telemetry_attributes"))
        if name == "dag_name" and owner in self._workflows:
            return updated_node.with_changes(attr=cst.Name("dag_id"))
        if name in _GONE and (owner in self._workflows or name == "task_execution_counter"):
            self._decide(original_node, f"{owner}.{name}: {_GONE[name]}")
        return updated_node

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        """Note classes that replace part of the core."""
        if {_full_name(base.value) for base in node.bases} & self._workflow_names:
            self._decide(node, f"{node.name.value} is a subclass of Workflow: its constructor takes process_category "
                               "and process_name")  # fmt: skip

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        """Note methods that replace those of the core."""
        if node.name.value in {"format_metric_name", "base_telemetry_attributes"}:
            self._decide(node, f"nothing calls {node.name.value}: put the names and attributes where they are used")

    def leave_SimpleString(self, original_node: cst.SimpleString, updated_node: cst.SimpleString) -> cst.BaseExpression:
        """Rename dotted names in a text: the target of a mock, or an advice for people."""
        text = renamed_in_text(original_node.value, self._settings_module)
        if f"{CORE}." in text and "\n" not in text:
            self._decide(original_node, f"the text names something of {CORE}; say what takes its place")
        return updated_node.with_changes(value=text)

    def leave_FormattedStringText(
        self, original_node: cst.FormattedStringText, updated_node: cst.FormattedStringText
    ) -> cst.BaseFormattedStringContent:
        """Rename dotted names in a formatted text."""
        return updated_node.with_changes(value=renamed_in_text(original_node.value, self._settings_module))


def _renamed(alias: cst.ImportAlias, name: str) -> cst.ImportAlias:
    """Return an import of another name under the local name that it had."""
    if alias.evaluated_name == name:
        return alias
    local = alias.asname or cst.AsName(
        whitespace_before_as=cst.SimpleWhitespace(" "), name=cst.Name(alias.evaluated_name)
    )
    return alias.with_changes(name=cst.Name(name), asname=local)


def _dotted(name: str) -> cst.Attribute | cst.Name:
    """Return the node of a dotted name."""
    head, *rest = name.split(".")
    node: cst.Attribute | cst.Name = cst.Name(head)
    for part in rest:
        node = cst.Attribute(value=node, attr=cst.Name(part))
    return node


def _metric_name(argument: cst.BaseExpression) -> cst.BaseExpression:
    """Return the name that the core gives to a metric, as text."""
    if isinstance(argument, cst.SimpleString) and not argument.prefix:
        quote = argument.quote
        return cst.SimpleString(f"{quote}{METRIC_PREFIX}{argument.raw_value}{quote}")
    if isinstance(argument, cst.Name | cst.Attribute):
        return cst.FormattedString([cst.FormattedStringText(METRIC_PREFIX), cst.FormattedStringExpression(argument)])
    return cst.BinaryOperation(
        left=cst.SimpleString(f'"{METRIC_PREFIX}"'),
        operator=cst.Add(),
        right=argument.with_changes(lpar=argument.lpar or [cst.LeftParen()], rpar=argument.rpar or [cst.RightParen()]),
    )
