"""A call of the core's Workflow as one of ours, with the same DAG id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from dkist_build_utils.errors import NotUnderstoodError

if TYPE_CHECKING:
    from collections.abc import Sequence

DETAILS = frozenset({"input_data", "output_data", "category", "detail"})
"""The arguments that name a workflow of the core."""

_CONVERTER = {"workflow_arguments": "dkist_workflow"}


def rewritten_call(call: cst.Call, *, is_core: bool) -> tuple[cst.Call, dict[str, str]]:
    """Return a call of Workflow with our arguments, and the names that it needs besides, with their modules.

    Texts are put together here. Anything else is left to `dkist_workflow.workflow_arguments`, which puts them together
    where it runs, so that nothing is evaluated in another order or twice.

    Parameters
    ----------
    call : Call
        The call.
    is_core : bool
        Whether Workflow is certainly the core's. If not, it may be one of ours that is right already.

    Raises
    ------
    NotUnderstoodError
        Only a person can say what the call means.
    """
    named = {argument.keyword.value: argument for argument in call.args if argument.keyword is not None}
    if not named.keys() & DETAILS and not is_core:
        return _with_tags(call), {}
    if any(argument.keyword is None and argument.star != "**" for argument in call.args):
        raise NotUnderstoodError(
            "name every argument of this Workflow (input_data=, output_data=, ...), then migrate again"
        )
    if "process_category" in named or "process_name" in named:
        raise NotUnderstoodError(
            "this Workflow is named in the old and the new way; keep process_category, process_name"
        )
    is_spread = any(argument.star == "**" for argument in call.args)
    texts = {name: _text(named[name].value) for name in DETAILS & named.keys()}
    if is_spread or None in texts.values():
        return _converted(call), _CONVERTER
    if {"input_data", "output_data", "category"} - texts.keys():
        raise NotUnderstoodError("this Workflow lacks input_data, output_data or category, so its name is not known")
    names = {
        "process_category": f"{texts['input_data']}_to_{texts['output_data']}",
        "process_name": f"{texts['category']}_{texts['detail']}" if texts.get("detail") else str(texts["category"]),
    }
    return _with_tags(call.with_changes(args=_renamed(call.args, names))), {}


def _text(value: cst.BaseExpression) -> str | None:
    """Return a literal text: empty for None, which names no detail; None for anything else."""
    if isinstance(value, cst.Name) and value.value == "None":
        return ""
    if isinstance(value, cst.SimpleString | cst.ConcatenatedString):
        text = value.evaluated_value
        return text if isinstance(text, str) else None
    return None


def _converted(call: cst.Call) -> cst.Call:
    """Return the call with all of its arguments handed through the converter."""
    inner = cst.Call(
        func=cst.Name("workflow_arguments"), args=call.args, whitespace_before_args=call.whitespace_before_args
    )
    return call.with_changes(args=[cst.Arg(inner, star="**")], whitespace_before_args=cst.SimpleWhitespace(""))


def _renamed(arguments: Sequence[cst.Arg], names: dict[str, str]) -> list[cst.Arg]:
    """Return the arguments with the two names where the first two details were; comments of the others stay."""
    places = [number for number, each in enumerate(arguments) if each.keyword and each.keyword.value in DETAILS]
    kept: list[cst.Arg] = []
    pending = iter(names.items())
    for number, argument in enumerate(arguments):
        if number not in places:
            kept.append(argument)
        elif (pair := next(pending, None)) is not None:
            keyword, text = pair
            kept.append(argument.with_changes(keyword=cst.Name(keyword), value=_literal(text)))
        else:
            kept[-1] = _with_comments_of(argument, kept[-1])
            if number == len(arguments) - 1:
                # What is last decides where the bracket closes.
                kept[-1] = kept[-1].with_changes(comma=_last_comma(kept[-1].comma, argument.comma))
                kept[-1] = kept[-1].with_changes(whitespace_after_arg=argument.whitespace_after_arg)
    return kept


def _literal(text: str) -> cst.SimpleString:
    quoted = f'"{text}"'
    return cst.SimpleString(quoted if '"' not in text and "\\" not in text and text.isprintable() else repr(text))


def _comments(comma: cst.Comma | cst.MaybeSentinel) -> list[cst.Comment]:
    """Return the comments after a comma."""
    space = comma.whitespace_after if isinstance(comma, cst.Comma) else None
    if not isinstance(space, cst.ParenthesizedWhitespace):
        return []
    lines = [space.first_line.comment, *(line.comment for line in space.empty_lines)]
    return [comment for comment in lines if comment is not None]


def _with_comments_of(dropped: cst.Arg, kept: cst.Arg) -> cst.Arg:
    """Return an argument that is followed by the comments of the one that came after it and is gone."""
    comments = _comments(dropped.comma)
    if not comments or not isinstance(kept.comma, cst.Comma):
        return kept
    space = kept.comma.whitespace_after
    if not isinstance(space, cst.ParenthesizedWhitespace):
        return kept
    lines = [
        *space.empty_lines,
        *(cst.EmptyLine(indent=space.indent, whitespace=space.last_line, comment=each) for each in comments),
    ]
    return kept.with_changes(comma=kept.comma.with_changes(whitespace_after=space.with_changes(empty_lines=lines)))


def _last_comma(
    kept: cst.Comma | cst.MaybeSentinel, last: cst.Comma | cst.MaybeSentinel
) -> cst.Comma | cst.MaybeSentinel:
    """Return the comma of the argument that became the last one: the comments of its own, the end of the other's."""
    if not isinstance(kept, cst.Comma) or not isinstance(last, cst.Comma):
        return last
    own, end = kept.whitespace_after, last.whitespace_after
    if isinstance(own, cst.ParenthesizedWhitespace) and isinstance(end, cst.ParenthesizedWhitespace):
        return last.with_changes(whitespace_after=own.with_changes(indent=end.indent, last_line=end.last_line))
    return last


def _with_tags(call: cst.Call) -> cst.Call:
    """Return the call with a list where ``tags`` is a single text."""
    arguments = []
    for argument in call.args:
        is_text = isinstance(argument.value, cst.SimpleString | cst.ConcatenatedString | cst.FormattedString)
        if argument.keyword is not None and argument.keyword.value == "tags" and is_text:
            arguments.append(argument.with_changes(value=cst.List([cst.Element(argument.value)])))
        else:
            arguments.append(argument)
    return call.with_changes(args=arguments)
