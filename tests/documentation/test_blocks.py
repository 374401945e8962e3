"""Every code block of the documentation runs, or says why it does not; and no command in it is misspelt."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from copy import deepcopy
from importlib import import_module
from itertools import groupby
from pathlib import Path

import click
import pytest
import yaml  # type: ignore[import-untyped]  # comes with Airflow, its types do not

from harness.packages import Package
from tests.documentation.blocks import BLOCKS, ROOT, Block

SHELL = ("sh", "console")
READ: dict[str, Callable[[str], object]] = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}
LANGUAGES = {*SHELL, *READ, "python", "text", "ini"}
PAGES_WITH_A_TEST = {Path("docs/tutorial/index.md"): "test_tutorial.py"}
"""Pages that a test of their own runs."""
COMMANDS = {"dkist-build": "dkist_build_utils", "dkist-airflow-node": "dkist_airflow_node"}


def run_blocks() -> dict[Path, list[Block]]:
    """Return for each page the blocks that are run here, in their order."""
    pages: dict[Path, list[Block]] = {}
    for block in BLOCKS:
        if block.language in {*SHELL, "python"} and not block.remark and block.page not in PAGES_WITH_A_TEST:
            pages.setdefault(block.page, []).append(block)
    return pages


def test_pages_were_found() -> None:
    """What follows looks at the whole documentation."""
    assert len({block.page for block in BLOCKS}) > 15
    assert len(run_blocks()) > 2


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block_says_what_it_is(block: Block) -> None:
    """A block has a language; what is not run has a reason or names the test that runs it."""
    assert block.language in LANGUAGES
    if block.remark:
        kind, _, rest = block.remark.partition(": ")
        assert kind in {"not run", "run by"}
        if kind == "run by":
            assert (ROOT / rest).is_file(), rest
        else:
            assert len(rest.split()) >= 3, "say why"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in READ], ids=str)
def test_data_can_be_read(block: Block) -> None:
    """JSON, TOML and YAML are what they say."""
    assert READ[block.language](block.text) is not None


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_python_compiles(block: Block) -> None:
    """Python is Python, also where it is not run."""
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in SHELL], ids=str)
def test_commands_exist(block: Block) -> None:
    """The shell takes the lines, and each command of ours has the options that it is given."""
    checked = subprocess.run(["bash", "-n", "-c", block.commands], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    for words in command_lines(block.commands):
        check_command(words)


def command_lines(text: str) -> Iterable[list[str]]:
    """Yield the words of each call of a command of ours."""
    for line in text.replace("\\\n", " ").splitlines():
        tokens = shlex.shlex(line, posix=True, punctuation_chars="|&;")
        tokens.whitespace_split = True
        for is_between, part in groupby(tokens, lambda token: set(token) <= set("|&;")):
            words = list(part)
            while words and re.fullmatch(r"[A-Z_]+=.*|sudo", words[0]):
                words.pop(0)
            if words and not is_between and words[0] in COMMANDS:
                yield words


def check_command(words: list[str]) -> None:
    """Fail where a subcommand or an option does not exist, or an argument is missing."""
    command = deepcopy(import_module(f"{COMMANDS[words[0]]}.commands.cli").cli)  # which other tests run
    context = click.Context(command, info_name=words[0])
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        assert found is not None, f"{words}: there is no command {rest[0]!r}"
        command, context, rest = found, click.Context(found, info_name=rest[0], parent=context), rest[1:]
    if isinstance(command, click.Group):
        assert set(rest) <= {"--help", "-h", "--version"}, words
        return
    for parameter in command.params:  # that a file is there is not what is checked
        if isinstance(parameter.type, click.Path):
            parameter.type = click.Path(path_type=Path)
    command.make_parser(context).parse_args(rest)


TASKS = """
from dkist_task import TaskBase

class Parse(TaskBase):
    def run(self): print("parsing")

class Calibrate(TaskBase):
    mean = 2
    gain = 1
    def run(self):
        with self.telemetry_span("divide", {"frames": 4}):
            self.mean / self.gain
"""
WORKFLOWS = """
from dkist_workflow import Workflow
from my_instrument.tasks import Calibrate, Parse

l0_to_l1 = Workflow(process_category="my_instrument", process_name="l0_to_l1", workflow_package=__package__)
l0_to_l1.add_node(task=Parse)
l0_to_l1.add_node(task=Calibrate, upstreams=Parse)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder as a reader has it: a package ``my_instrument`` that can be imported, with one workflow."""
    modules = {"tasks": TASKS, "workflows.__init__": "from my_instrument.workflows.main import l0_to_l1"}
    package = Package("my-instrument", modules={**modules, "workflows.main": WORKFLOWS}, dependencies=["dkist-task"])
    for path, text in package.files().items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


@pytest.mark.parametrize("page", run_blocks(), ids=str)
def test_page_runs(page: Path, place: Path) -> None:
    """The blocks of a page run in their order: the shell's lines, and the Python as one program."""
    python = ""
    environment = {key: value for key, value in os.environ.items() if key not in {"BUILD_VERSION", "DKIST_SPAN_FOLDER"}}
    environment |= {"PYTHONPATH": str(place), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for block in run_blocks()[page]:
        if block.file:
            (place / block.file).parent.mkdir(parents=True, exist_ok=True)
            (place / block.file).write_text(block.text)
            continue
        if block.language == "python":
            python += "\n" * (block.line - python.count("\n")) + block.text
            (place / "page.py").write_text(f"__package__ = 'my_instrument.workflows'\n{python}")
            command = [sys.executable, "-c", "import page"]
        else:
            command = ["bash", "-euo", "pipefail", "-c", block.commands]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}:\n{done.stdout}{done.stderr}"
