"""The requirements of a client name ours in place of the core."""

from __future__ import annotations

import tomllib
from pathlib import PurePosixPath

import pytest

from dkist_build_utils.migration.requirement_list import rewritten_lines, rewritten_pyproject
from dkist_build_utils.migration.usage import Usage, usage_of

PYPROJECT = """\
[project] # the client
name = "my-instrument"
dependencies = [
  "astropy >= 7",  # sky
  "dkist-processing-core == 7.5.0",
  "talus",
]

[project.optional-dependencies]
test = ["pytest", "my-instrument[frozen,gpu]"]
gpu = ["cupy"]
frozen = [
    "Deprecated == 3.0.0",
    "dkist-processing-core == 7.5.0",
]

[tool.black]
line-length = 100 # wide
"""

USAGE = usage_of(
    [
        (PurePosixPath("my_instrument/tasks.py"), b"from dkist_task import TaskBase\nimport nbformat, talus\n"),
        (PurePosixPath("my_instrument/workflows/main.py"), b"from dkist_workflow import Workflow\n"),
        (
            PurePosixPath("my_instrument/tests/test_workflows.py"),
            b"from dkist_build_utils import validate_workflows\nw.load()\nfrom my_instrument.workflows import w\n",
        ),
        (PurePosixPath("broken.py"), b"def"),
    ]
)


def rewritten(text: str, usage: Usage = USAGE) -> str:
    """Return a pyproject.toml after the migration; a second one must change nothing."""
    result = rewritten_pyproject(text.encode(), usage)
    assert result.decisions == ()
    assert rewritten_pyproject(result.content, usage) == result
    return result.content.decode()


def test_core_becomes_what_the_code_imports() -> None:
    """The core's place is taken by dkist-task, what it brought is required, and workflows have an extra."""
    text = rewritten(PYPROJECT)
    project = tomllib.loads(text)["project"]
    assert project["dependencies"] == ["astropy >= 7", "dkist-task >= 0.1, < 0.2", "talus", "nbformat >= 5.9.2"]
    assert project["optional-dependencies"] == {
        "test": [
            "pytest",
            "my-instrument[gpu]",
            "my-instrument[workflow]",
            "dkist-build-utils >= 0.1, < 0.2",
            "dkist-airflow-node[airflow] >= 0.1, < 0.2",
        ],
        "gpu": ["cupy"],
        "workflow": ["dkist-workflow >= 0.1, < 0.2"],
    }
    for comment in ("# the client", "# sky", "# wide"):
        assert comment in text


def test_client_of_a_client_requires_what_it_imports() -> None:
    """A package that got the core through another one names what it uses itself, and not what another one brings."""
    text = PYPROJECT.replace('  "dkist-processing-core == 7.5.0",\n  "talus",\n', "")
    project = tomllib.loads(rewritten(text))["project"]
    assert project["dependencies"] == ["astropy >= 7", "dkist-task >= 0.1, < 0.2"]


@pytest.mark.parametrize(
    "text",
    ["[tool.black]\nline-length = 1\n", '[project]\nname = "other"\ndependencies = ["requests"]\n'],
)
def test_package_that_uses_nothing_of_the_core_stays(text: str) -> None:
    """A project without the core keeps its bytes."""
    assert rewritten(text, Usage()) == text


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"[project\n", "correct it"),
        (b"\xff", "correct it"),
        (b'[project]\nname = "x"\ndynamic = ["dependencies"]\n', "where they come from"),
    ],
)
def test_requirements_that_cannot_be_read_are_left_to_a_person(content: bytes, what: str) -> None:
    """What is wrong is said, with what to do."""
    ((line, text),) = rewritten_pyproject(content, USAGE).decisions
    assert line == 1
    assert what in text


def test_lists_of_requirements_change_by_line() -> None:
    """In setup.cfg, a requirements file and hooks a line of the core becomes lines of ours."""
    text = "[options]\ninstall_requires =\n    dkist-processing-core==7.5.0\n    talus\n# dkist-processing-core\n"
    result = rewritten_lines(text.encode(), ["dkist-task >= 0.1", "talus >= 1.3", "nbformat >= 5"])
    assert result.decisions == ()
    assert result.content.decode() == text.replace("dkist-processing-core==7.5.0", "dkist-task>=0.1\n    nbformat>=5")
    hook = "  additional_dependencies:\r\n  - dkist-processing-core\r\n"
    expected = hook.replace("processing-core", "task>=0.1")
    assert rewritten_lines(hook.encode(), ["dkist-task >= 0.1"]).content.decode() == expected
    quoted = '    install_requires=[\n        "dkist-processing-core>=7",  # tasks\n    ],\n'
    expected = quoted.replace("dkist-processing-core>=7", "dkist-task>=0.1")
    assert rewritten_lines(quoted.encode(), ["dkist-task >= 0.1"]).content.decode() == expected


def test_line_that_is_no_list_is_left_to_a_person() -> None:
    """Several requirements on a line are not taken apart."""
    result = rewritten_lines(b'install_requires=["dkist-processing-core", "x"]\n', ["dkist-task"])
    assert result.content == b'install_requires=["dkist-processing-core", "x"]\n'
    assert [line for line, _ in result.decisions] == [1]
    assert [line for line, _ in rewritten_lines(b"\xff dkist-processing-core", ["dkist-task"]).decisions] == [1]
