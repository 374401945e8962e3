"""A workflow drawn as text: a tree for a terminal, a Mermaid flowchart for a README."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from dkist_build_utils.checks import discover_workflows
from dkist_build_utils.errors import BuildError, FaultsError
from dkist_workflow import Node, ResourceQueue, Workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import ModuleType


def tree(workflow: Workflow) -> str:
    """Return a workflow as a tree for a terminal: each task below one of its upstreams.

    A task with several upstreams stands below the last of them in the list, and in brackets below the others.
    """
    downstream = _downstream(workflow)
    roots = [node for node in workflow.nodes if not node.upstream_names]
    remaining = {node.name: len(node.upstream_names) for node in workflow.nodes}
    lines = [f"{workflow.workflow_name} {workflow.workflow_version}"]
    # Without recursion: a chain of tasks may be longer than Python's stack is deep.
    pending = [(node, "", number == len(roots)) for number, node in enumerate(roots, start=1)][::-1]
    while pending:
        node, indent, is_last = pending.pop()
        remaining[node.name] -= 1
        is_waiting = remaining[node.name] > 0
        label = f"[{node.name}]" if is_waiting else " ".join([node.name, *(f"({mark})" for mark in marks(node))])
        lines.append(f"{indent}{'└─ ' if is_last else '├─ '}{label}")
        if not is_waiting:
            below = downstream[node.name]
            inner = indent + ("   " if is_last else "│  ")
            pending += [(each, inner, number == len(below)) for number, each in enumerate(below, start=1)][::-1]
    return "\n".join(lines)


def mermaid(workflows: Iterable[Workflow]) -> str:
    """Return workflows as one Mermaid flowchart, a box for each, for a code block of type ``mermaid``."""
    lines = ["flowchart TD"]
    for number, workflow in enumerate(workflows, start=1):
        # Not the names themselves: 'end' is a word of Mermaid's.
        ids = {node.name: f"task{number}_{place}" for place, node in enumerate(workflow.nodes, start=1)}
        lines.append(f'subgraph workflow{number}["{workflow.workflow_name} {workflow.workflow_version}"]')
        for node in workflow.nodes:
            label = "<br/>".join([node.name, *(f"({mark})" for mark in marks(node))])
            lines.append(f'    {ids[node.name]}["{label}"]')
            lines += [f"    {ids[upstream]} --> {ids[node.name]}" for upstream in node.upstream_names]
        lines.append("end")
    return "\n".join(lines)


def named_workflows(workflow_package: ModuleType | str, name: str | None = None) -> tuple[Workflow, ...]:
    """Return all workflows of a package, or those with one name.

    Parameters
    ----------
    workflow_package : module or str
        The package, or its dotted name.
    name : str, optional
        The name of a workflow, its DAG id or the name of its variable.

    Raises
    ------
    BuildError
        A module does not import, or there is no such workflow.
    """
    discovery = discover_workflows(workflow_package)
    if discovery.faults:
        raise FaultsError(f"package {discovery.package!r}", discovery.faults)
    found = tuple(
        each.workflow
        for each in discovery.workflows
        if name is None
        or name in {each.workflow.workflow_name, each.workflow.dag_id}
        or name in {place.rpartition(".")[2] for place in each.places}
    )
    if not found:
        names = ", ".join(sorted({each.workflow.workflow_name for each in discovery.workflows}))
        raise BuildError(f"package {discovery.package!r} has no workflow {name!r}; it has {names}")
    return found


def marks(node: Node) -> Iterator[str]:
    """Yield the queue and the extras of a task, and its settings that are not the default."""
    if node.resource_queue is not ResourceQueue.DEFAULT:
        yield node.resource_queue.value
    if node.pip_extras:
        yield f"extras: {', '.join(node.pip_extras)}"
    for setting in fields(node.settings):
        value = getattr(node.settings, setting.name)
        if value != setting.default:
            name = setting.name.removesuffix("_seconds")
            unit = " s" if name != setting.name else ""
            yield f"{name.replace('_', ' ')}: {value}{unit}"


def _downstream(workflow: Workflow) -> Mapping[str, Sequence[Node]]:
    downstream: dict[str, list[Node]] = {node.name: [] for node in workflow.nodes}
    for node in workflow.nodes:
        for upstream in node.upstream_names:
            downstream[upstream].append(node)
    return downstream
