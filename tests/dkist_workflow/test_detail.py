"""A workflow that dkist-processing-core named by four details keeps its DAG id."""

from __future__ import annotations

from typing import Any

import pytest

from dkist_workflow import Workflow, workflow_arguments, workflow_name_from_details


@pytest.mark.parametrize(
    ("detail", "dag_id"),
    [({}, "l0_to_l1_vbi_1"), ({"detail": None}, "l0_to_l1_vbi_1"), ({"detail": "a_b"}, "l0_to_l1_vbi_a_b_1")],
)
def test_workflow_of_details_has_the_same_dag_id(detail: dict[str, Any], dag_id: str) -> None:
    """The arguments of the core, from wherever they come, make the workflow with the id that the core made."""
    details = {"input_data": "l0", "output_data": "l1", "category": "vbi", **detail}
    others = {"workflow_package": "vbi", "workflow_version": "1", "tags": "summit"}
    workflow = Workflow(**workflow_arguments(**details, **others))
    assert (workflow.dag_id, workflow.tags) == (dag_id, ("summit",))
    assert f"{workflow_name_from_details(**details)}_1" == dag_id


def test_missing_detail_is_an_error() -> None:
    """A workflow cannot be named without its category."""
    with pytest.raises(TypeError, match="category"):
        workflow_arguments(input_data="l0", output_data="l1")  # type: ignore[call-arg]
