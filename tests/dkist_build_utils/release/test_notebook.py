"""A workflow as a notebook: every cell runs, in the order of the tasks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from dkist_build_utils import export
from tests.dkist_build_utils.conftest import Install, instrument

TALKATIVE = """
from dkist_task import TaskBase

class Parse(TaskBase):
    def run(self):
        print(self.task_name, self.recipe_run_id, self.workflow_name, self.workflow_version)

class Calibrate(Parse): ...

class Assemble(Parse): ...
"""


def test_cells_run_the_tasks_in_order(install: Install, tmp_path: Path) -> None:
    """The code of the cells is the workflow; the file is valid, and the same bytes each time."""
    name = install(instrument(tasks=TALKATIVE))
    workflow = f"{name}_main"
    out = tmp_path / "out"
    folder = export(f"{name}.workflows", out, version="1.0.0", lock=False, notebook=True)
    path = out / f"{workflow}_1.0.0.ipynb"
    before = path.read_bytes()
    assert {each.name for each in out.iterdir()} == {folder.name, path.name}
    export(f"{name}.workflows", out, version="1.0.0", lock=False, notebook=True)
    assert path.read_bytes() == before
    nbformat.validate(nbformat.read(path, as_version=4))  # type: ignore[no-untyped-call]
    cells = ["".join(cell["source"]) for cell in json.loads(before)["cells"] if cell["cell_type"] == "code"]
    assert len(cells) == 4
    (tmp_path / "cells.py").write_text("\n\n".join(cells))
    done = subprocess.run(
        [sys.executable, tmp_path / "cells.py"],
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [f"{task} 1 {workflow} 1.0.0" for task in ("Parse", "Calibrate", "Assemble")]


CHOOSY = """
from dkist_task import TaskBase

class Copy(TaskBase):
    def run(self):
        print(self.task_name, self.parameters)
"""

COPIES = """
from dkist_workflow import Parameter, Workflow
from {package}.tasks import Copy

main = Workflow("{package}", "main", __package__, parameters=[Parameter("bins", int, 4), Parameter("ink", str, "red")])
main.add_node(task=Copy, name="CopyDarks")
"""


def test_cells_hold_parameters_and_names(install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first cell has the default of each parameter; a task has the name that the workflow gave it."""
    name = install(instrument(tasks=CHOOSY, **{"workflows.main": COPIES}))
    export(f"{name}.workflows", tmp_path, version="1.0.0", lock=False, notebook=True)
    cells = json.loads((tmp_path / f"{name}_main_1.0.0.ipynb").read_bytes())["cells"]
    exec("\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"), {})
    assert capsys.readouterr().out == "CopyDarks {'bins': 4, 'ink': 'red'}\n"
