"""The examples of the README work as they are printed."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[2] / "packages" / "dkist-workflow" / "README.md"
PACKAGE = "dkist_processing_vbi"
EXAMPLES = dict(
    re.findall(r"^`(\S+)\.py`:\n\n<!-- [^\n]* -->\n```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
)

TASKS = """
from dkist_task import TaskBase

class {name}(TaskBase):
    def run(self): ...
"""
MORE = """
for number in range(15):
    l0_to_l1.add_node(Dark, upstreams=Calibrate, name=f"Extra{number}")
"""


def imported_tasks() -> set[str]:
    """Return the names of all tasks that the examples import."""
    return {
        alias.name
        for text in EXAMPLES.values()
        for statement in ast.walk(ast.parse(text))
        if isinstance(statement, ast.ImportFrom) and statement.module == f"{PACKAGE}.tasks"
        for alias in statement.names
    }


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write the examples, and the tasks that they import, as a package that can be imported."""
    (tmp_path / PACKAGE / "workflows").mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").touch()
    (tmp_path / PACKAGE / "workflows" / "__init__.py").touch()
    tasks = "".join(TASKS.format(name=name) for name in sorted(imported_tasks()))
    (tmp_path / PACKAGE / "tasks.py").write_text(tasks)
    for name, text in EXAMPLES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path / PACKAGE
    for name in set(sys.modules) - before:
        del sys.modules[name]


def bound(module: str, name: str) -> Any:
    """Return what a module of the examples binds to a name."""
    return getattr(importlib.import_module(f"{PACKAGE}.{module}"), name)


@pytest.mark.usefixtures("installed")
def test_first_example_is_a_workflow() -> None:
    """The order of tasks and the description are what the text says."""
    l0_to_l1 = bound("workflows.l0_to_l1", "l0_to_l1")
    assert [node.name for node in l0_to_l1.nodes] == ["TransferL0Data", "Dark", "Gain", "Calibrate", "PublishCatalog"]
    assert l0_to_l1.workflow_package == f"{PACKAGE}.workflows"
    assert l0_to_l1.description.startswith("Raw frames become")


def test_trial_of_a_workflow_of_20_tasks_has_8_lines(installed: Path) -> None:
    """Imports included, the variant takes no more lines than that, whatever number of tasks the base has."""
    lines = [line for line in EXAMPLES[f"{PACKAGE}/trials"].splitlines() if line]
    assert len(lines) <= 8
    module = installed / "workflows" / "l0_to_l1.py"
    module.write_text(module.read_text() + MORE)
    trial = bound("trials", "trial")
    assert len(trial.base.nodes) == 20
    names = [node.name for node in trial.nodes]
    assert names[:4] == ["LoadLocalFrames", "Dark", "Gain", "Calibrate"]
    assert len(names) == 19
    assert [difference.kind for difference in trial.differences()] == ["removed", "replaced", "changed"]


@pytest.mark.usefixtures("installed")
def test_class_is_used_twice() -> None:
    """Two tasks of one class are upstreams of a third."""
    copies = bound("workflows.copies", "copies")
    assert [(node.name, node.upstream_names) for node in copies.nodes] == [
        ("CopyDarks", ()),
        ("CopyFlats", ()),
        ("Calibrate", ("CopyDarks", "CopyFlats")),
    ]


@pytest.mark.usefixtures("installed")
def test_one_line_makes_smoke_workflows() -> None:
    """Each is called as the text says."""
    assert [each.workflow_name for each in bound("workflows.smoke", "smoke")] == ["smoke_Dark", "smoke_Gain"]


@pytest.mark.usefixtures("installed")
def test_parameters_are_declared() -> None:
    """The declared parameters have the types of the text."""
    parameters = bound("workflows.quicklook", "quicklook").parameters
    assert [(each.name, each.type, each.default) for each in parameters] == [("bins", int, 4), ("colours", str, "grey")]
