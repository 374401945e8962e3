"""Exported workflows are recognised by what their DAG files set."""

from __future__ import annotations

import pathlib

import pytest

from dkist_airflow_node.dag import body
from dkist_airflow_node.site import AirflowApi, site_settings
from dkist_airflow_node.site.workflow import OWNER, ExportedWorkflow, exported_workflows, name_and_version
from tests.dkist_airflow_node.site.airflow_server import airflow_server, dag_row


def test_the_owner_is_that_of_the_dag_file() -> None:
    """The DAG file and the look-up use the same words."""
    with pathlib.Path(str(body.__file__)).open(encoding="utf-8") as file:
        assert f'"owner": "{OWNER}"' in file.read()


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
def test_name_and_version(dag_id: str, tags: set[str], expected: tuple[str, str] | None) -> None:
    """The tags say where the name ends; Airflow cuts tags of more than 100 characters."""
    assert name_and_version(dag_id, tags) == expected


def test_other_dags_are_left_out() -> None:
    """A DAG of another owner, or one that was not exported, is not ours."""
    with airflow_server() as server:
        server.dags = [dag_row(), dag_row("copy_of_it"), dag_row("theirs_l0_1.0.0", owner="airflow")]
        api = AirflowApi(site_settings({"DKIST_AIRFLOW_URL": server.url}))
        assert exported_workflows(api) == {"vbi_l0_1.0.0": ExportedWorkflow("vbi_l0_1.0.0", "vbi_l0", "1.0.0")}
