"""A workflow as a notebook, to explore it task by task."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dkist_build_utils.errors import BuildError
from dkist_build_utils.release.folder import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dkist_workflow import Node, Workflow


def check_nbformat() -> None:
    """Raise BuildError if nbformat, the extra ``notebook`` of this distribution, is not installed."""
    if find_spec("nbformat") is None:
        raise BuildError("nbformat, which writes notebooks, is not installed; install 'dkist-build-utils[notebook]'")


def write_notebook(workflow: Workflow, folder: Path) -> Path:
    """Write ``<dag_id>.ipynb``, a notebook with a cell for each task, into a folder and return its path.

    Parameters
    ----------
    workflow : Workflow
        The workflow.
    folder : Path
        Where to write; made where it is missing.

    Raises
    ------
    BuildError
        The extra ``notebook`` of this distribution is not installed.
    """
    check_nbformat()
    (path,) = write_notebooks([workflow], folder)
    return path


def write_notebooks(workflows: Iterable[Workflow], folder: Path) -> tuple[Path, ...]:
    """Write ``<dag_id>.ipynb`` for each workflow into a folder and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for workflow in workflows:
        paths.append(folder / f"{workflow.dag_id}.ipynb")
        replace_file(paths[-1], render_notebook(workflow))
    return tuple(paths)


def render_notebook(workflow: Workflow) -> bytes:
    """Return the notebook of a workflow: the same bytes for the same workflow.

    The first cell of code holds the recipe run id, the parameters and what else every task gets. Then comes a cell for
    each task, after those of its upstreams.
    """
    nbformat = import_module("nbformat")  # an extra, and without types
    cells = [
        nbformat.v4.new_markdown_cell(_introduction(workflow), id="introduction"),
        nbformat.v4.new_code_cell(_parameters(workflow), id="parameters"),
    ]
    for number, node in enumerate(workflow.nodes, start=1):
        cells.append(nbformat.v4.new_markdown_cell("\n".join(_heading(node)), id=f"heading-{number}"))
        cells.append(nbformat.v4.new_code_cell(_call(node), id=f"task-{number}"))
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        nbformat_minor=5,  # the first with names of cells: those that nbformat makes up are random
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )
    nbformat.validate(notebook)
    return f"{nbformat.writes(notebook)}\n".encode()


def _introduction(workflow: Workflow) -> str:
    return (
        f"# {workflow.workflow_name} {workflow.workflow_version}\n\n"
        "Run the cells from top to bottom, in an environment that has the instrument package and `dkist-task`."
    )


def _parameters(workflow: Workflow) -> str:
    values = {parameter.name: parameter.default for parameter in workflow.parameters}
    return (
        "recipe_run_id = 1\n"
        f"parameters = {values!r}\n"
        f"workflow_name = {workflow.workflow_name!r}\n"
        f"workflow_version = {workflow.workflow_version!r}\n"
        "run = {\n"
        '    "recipe_run_id": recipe_run_id,\n'
        '    "workflow_name": workflow_name,\n'
        '    "workflow_version": workflow_version,\n'
        '    "parameters": parameters,\n'
        "}"
    )


def _heading(node: Node) -> Iterator[str]:
    yield f"## {node.name}"
    if node.upstream_names:
        yield f"\nAfter {', '.join(node.upstream_names)}."
    if node.pip_extras:
        yield f"\nIts environment has the extras {', '.join(node.pip_extras)}."


def _call(node: Node) -> str:
    module, _, name = node.entry_point.partition(":")
    imported = f"from {module} import {name}\n\n"
    if node.name == name:
        return f"{imported}with {name}(**run) as task:\n    task()"
    return f"{imported}task = {name}(**run)\ntask.task_name = {node.name!r}\nwith task:\n    task()"
