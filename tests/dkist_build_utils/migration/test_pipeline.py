"""The lines of a pipeline that the core needed become those of ``dkist-build``."""

from __future__ import annotations

import pytest

from dkist_build_utils.migration.pipeline import rewritten_pipeline

STEPS = """\
image: python:3.13
definitions:
  steps:
    - step: &freeze
        script: # as before
          - pip install dkist-dev-tools
          - ddt check freeze
    - step: &test
        script:
          - pip install .[gpu,frozen]
          - pip install .[frozen]
    - step: &dags
        script:
          - pip install .
          - export ARTIFACT_FOLDER="${BITBUCKET_REPO_SLUG}_${BUILD_VERSION}/"
          - EXPORT_DAGS
          - export SOURCE_PATH="workflow_${BUILD_VERSION}.gz"
          - tar --exclude="bitbucket-pipelines.yml" -cvzf ${SOURCE_PATH} ${ARTIFACT_FOLDER}
          - upload ${SOURCE_PATH}
    - step: &code
        script:
          - ./push_python.sh
    - step: &image
        script:
          - pip install .
          - EXPORT_NOTEBOOKS
""".replace(
    "EXPORT_DAGS",
    'python -c "from dkist_processing_core.build_utils import export_dags; '
    "import my.workflows as w; export_dags(w, '${ARTIFACT_FOLDER}')\"",
).replace(
    "EXPORT_NOTEBOOKS",
    'python -c "from dkist_processing_core.build_utils import export_notebook_dockerfile; '
    "import ${P}.workflows as w; export_notebook_dockerfile(w, 'notebooks/')\"",
)
TAGS = """\
pipelines:
  tags:
    'v*':
      - step: *test
      - parallel:
          - step: *dags
          - step: *image
      - step: *code
"""


def rewritten(text: str) -> tuple[str, list[tuple[int, str]]]:
    """Return a pipeline after the migration, and what is left; a second one must change nothing."""
    result = rewritten_pipeline(text.encode(), "my.workflows")
    assert rewritten_pipeline(result.content, "my.workflows").content == result.content
    return result.content.decode(), list(result.decisions)


def test_steps_use_the_new_command() -> None:
    """Validate, export, archive and notebooks replace freeze, export_dags, tar and the Dockerfile's program."""
    text, decisions = rewritten(STEPS + TAGS)
    assert decisions == []
    expected = """\
image: python:3.13
definitions:
  steps:
    - step: &freeze
        script: # as before
          - pip install ".[workflow]" dkist-build-utils
          - dkist-build validate my.workflows
    - step: &test
        script:
          - pip install .[gpu]
          - pip install .
    - step: &dags
        script:
          - pip install ".[workflow]" dkist-build-utils
          - export ARTIFACT_FOLDER="${BITBUCKET_REPO_SLUG}_${BUILD_VERSION}/"
          - dkist-build export my.workflows
          - export SOURCE_PATH="${ARTIFACT_FOLDER%/}.tar.gz"
          - dkist-build archive "${ARTIFACT_FOLDER}"
          - upload ${SOURCE_PATH}
    - step: &code
        script:
          - ./push_python.sh
    - step: &image
        script:
          - pip install ".[workflow]" "dkist-build-utils[notebook]"
          - dkist-build export ${P}.workflows --no-lock --notebook --output notebooks
pipelines:
  tags:
    'v*':
      - step: *test
      - step: *code
      - parallel:
          - step: *dags
          - step: *image
"""
    assert text == expected


def test_steps_one_after_the_other_change_places() -> None:
    """Code is published before the DAGs that lock it, in a pipeline without parallel steps too; ends of lines stay."""
    tags = "pipelines:\n  tags:\n    'v*':\n      - step: *dags\n      - step: *code\n"
    text, decisions = rewritten((STEPS + tags).replace("\n", "\r\n"))
    assert decisions == []
    assert text.endswith("      - step: *code\r\n      - step: *dags\r\n")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"${BITBUCKET_REPO_SLUG}_${BUILD_VERSION}/"', '"dags/"', "let ARTIFACT_FOLDER name it"),
        ("- upload ${SOURCE_PATH}", "- more '${ARTIFACT_FOLDER}'", "writes into the release folder"),
        ("'notebooks/')", "'elsewhere')", "it uses the core"),
        ("      - step: *code\n", "      - step: *test\n      - step: *code\n", "publish the code before"),
    ],
)
def test_what_is_not_understood_is_listed(old: str, new: str, what: str) -> None:
    """A line that may mean something else has its place in the list."""
    text, decisions = rewritten((STEPS + TAGS).replace(old, new))
    ((line, said),) = decisions
    assert what in said
    assert line <= len(text.splitlines())


def test_pipeline_in_another_encoding_is_left_to_a_person() -> None:
    """Bytes that are not UTF-8 stay."""
    result = rewritten_pipeline(b"\xff", None)
    assert result.content == b"\xff"
    assert len(result.decisions) == 1
