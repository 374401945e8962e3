"""The names of workflows, versions and tasks."""

from __future__ import annotations

import enum

import pytest

from dkist_workflow import WorkflowError
from dkist_workflow.name import MAXIMUM_LENGTH, check_name


class Instrument(str, enum.Enum):  # noqa: UP042  # the old kind is what is tested
    """A name given as a member of an enumeration of the old kind, whose str() is not its value."""

    VBI = "vbi"


def test_names_are_plain_text_whatever_kind_of_text_they_were_given_as() -> None:
    """A member of an enumeration becomes its value."""
    checked = check_name(Instrument.VBI, what="name")
    assert type(checked) is str
    assert f"{checked}" == "vbi"


def test_longest_name_is_accepted() -> None:
    """250 characters are as many as Airflow keeps."""
    assert len(check_name("x" * MAXIMUM_LENGTH, what="name")) == 250
    with pytest.raises(WorkflowError, match=r"name 'x+' has 251 characters; Airflow accepts 250 at most"):
        check_name("x" * (MAXIMUM_LENGTH + 1), what="name")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "^process_name '' is refused by Airflow: use one or more ASCII letters"),
        ("l0 to l1", "^process_name 'l0 to l1' is refused"),
        ("x\n", r"^process_name 'x\\n' is refused"),
        ("{{ 7 }}", "^process_name '{{ 7 }}' is refused"),
        ("näme", "^process_name 'näme' is refused"),
        (None, "^process_name must be text, not None"),
        (1.0, "^process_name must be text, not 1.0"),
        ("run.sh", "^process_name 'run.sh' ends in '.sh' or '.bash'"),
        ("run.bash", "^process_name 'run.bash' ends in '.sh' or '.bash'"),
    ],
)
def test_what_airflow_refuses_is_refused(value: object, message: str) -> None:
    """The message says which name, what is wrong and what to write."""
    with pytest.raises(WorkflowError, match=message):
        check_name(value, what="process_name")
