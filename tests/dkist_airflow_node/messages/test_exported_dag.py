"""What a DAG of ours says of itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dkist_airflow_node.dag import body
from dkist_airflow_node.messages.exported_dag import (
    OWNER,
    ExportedWorkflow,
    distribution_of,
    environment_of,
    exported_workflow,
    workflow_of,
)

OURS: dict[str, Any] = {
    "dag_id": "vbi_l0_to_l1_2.1.0",
    "owner": OWNER,
    "tags": {"vbi", "l0_to_l1", "vbi_l0_to_l1", "2.1.0"},
    "conf": {"recipe_run_id": 7},
}


def test_the_owner_is_that_of_the_dag_file() -> None:
    """The DAG file and the look-up use the same words."""
    assert f'"owner": "{OWNER}"' in Path(str(body.__file__)).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("dag_id", "tags", "expected"),
    [
        ("vbi_l0_1.0.0", {"vbi", "l0", "vbi_l0", "1.0.0"}, ("vbi_l0", "1.0.0")),
        ("vbi_l0_to_l1_dev_2", {"vbi", "l0_to_l1", "vbi_l0_to_l1", "dev_2", "mine"}, ("vbi_l0_to_l1", "dev_2")),
        ("a_b_c", {"a", "b", "a_b", "c", "b_c"}, ("a_b", "c")),
        ("vbi_l0_1.0.0", {"vbi", "l0", "1.0.0"}, None),
        ("vbi_l0_1.0.0", set(), None),
        ("other", {"other"}, None),
        (
            f"{'c' * 60}_{'p' * 60}_1",
            {"c" * 60, "p" * 60, f"{'c' * 60}_{'p' * 39}", "1"},
            (f"{'c' * 60}_{'p' * 60}", "1"),
        ),
    ],
)
def test_the_tags_say_where_the_name_ends(dag_id: str, tags: set[str], expected: tuple[str, str] | None) -> None:
    """The tags say where the name ends; Airflow cuts tags of more than 100 characters."""
    found = exported_workflow(dag_id, tags)
    assert found == (None if expected is None else ExportedWorkflow(*expected))
    assert found is None or found.dag_id == dag_id


@pytest.mark.parametrize(
    ("dag_id", "tags", "expected"),
    [
        ("vbi_l0_to_l1_2.1.0", {"vbi", "l0_to_l1", "vbi_l0_to_l1", "2.1.0"}, ("vbi_l0_to_l1", "2.1.0")),
        ("vbi_l0_dev_7", {"vbi", "l0", "vbi_l0", "dev_7", "night"}, ("vbi_l0", "dev_7")),
        ("a_" + "b" * 120 + "_1.0", {"a", "b" * 100, ("a_" + "b" * 120)[:100], "1.0"}, ("a_" + "b" * 120, "1.0")),
    ],
)
def test_name_and_version_come_from_the_tags(dag_id: str, tags: set[str], expected: tuple[str, str]) -> None:
    """A version may hold the character that joins it to the name; Airflow cuts long tags."""
    found = workflow_of(dag_id=dag_id, owner=OWNER, tags=tags, conf={"recipe_run_id": 7})
    assert found == ExportedWorkflow(*expected)


@pytest.mark.parametrize(
    "other",
    [
        {"owner": "airflow"},
        {"owner": f"{OWNER}, airflow"},
        {"owner": None},
        {"conf": {}},
        {"conf": None},
        {"conf": {"recipe_run_id": "7"}},
        {"tags": ()},
        {"tags": {"vbi_l0_to_l1"}},
        {"tags": {"2.1.0", "vbi"}},
        {"dag_id": None},
        {"dag_id": "vbi_l0_to_l1"},
        {"dag_id": "vbi_l0_to_l1_2.2.0"},
        {"dag_id": "l0_to_l1_vbi_2.1.0", "tags": {"l0", "l1", "vbi", "2.1.0"}},  # dkist-processing-core's
    ],
)
def test_every_other_dag_is_foreign(other: dict[str, Any]) -> None:
    """Owner, tags and parameter must all fit: one alone may be chance."""
    assert workflow_of(**OURS) is not None
    assert workflow_of(**OURS | other) is None


def test_environment_is_the_digest_of_its_lock() -> None:
    """The runner names the environment's folder by it; without a lock, by that of the one requirement."""
    assert environment_of(SimpleNamespace(variables={"DKIST_LOCK_SHA256": "72fe"})) == "72fe"
    requirement = {"DKIST_REQUIREMENT": "dkist-x[quality]==1.0"}
    digest = hashlib.sha256(b"dkist-x[quality]==1.0").hexdigest()
    assert environment_of(SimpleNamespace(env=requirement)) == digest  # the first form of the DAG file
    assert environment_of(SimpleNamespace(variables={})) is None
    assert environment_of(None) is None


def test_distribution_is_that_of_the_release(tmp_path: Path) -> None:
    """The manifest beside the DAG file names it, or the task's requirement does."""
    dag = SimpleNamespace(fileloc=str(tmp_path / "vbi_l0_2.1.0.py"))
    assert distribution_of(dag, None) is None
    (tmp_path / "manifest.json").write_text("[1]")
    assert distribution_of(dag, None) is None
    (tmp_path / "manifest.json").write_text(json.dumps({"distribution": "dkist-x", "version": "2.1.0"}))
    assert distribution_of(dag, None) == "dkist-x 2.1.0"
    operator = SimpleNamespace(variables={"DKIST_REQUIREMENT": "dkist-y[quality]==1.0"})
    assert distribution_of(dag, operator) == "dkist-y 1.0"
    assert distribution_of(None, None) is None
