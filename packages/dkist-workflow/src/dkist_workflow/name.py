"""The names of workflows, versions and tasks."""

from __future__ import annotations

import re

from dkist_workflow.errors import WorkflowError

MAXIMUM_LENGTH = 250
"""Characters that Airflow keeps of a DAG id or a task id."""

_ALLOWED = re.compile(r"[A-Za-z0-9_.-]+")
_TEMPLATE_SUFFIXES = (".sh", ".bash")


def check_name(value: object, *, what: str) -> str:
    """Return a name of a workflow, a version or a task that Airflow accepts as it is.

    Parameters
    ----------
    value : object
        The name.
    what : str
        What the error message calls it, for example ``workflow_version``.

    Raises
    ------
    WorkflowError
        The name is not text, is empty or too long, holds another character than an ASCII letter, a digit, ``_``,
        ``.`` or ``-``, or ends like a shell script (Airflow would read it as the name of a template file).
    """
    if not isinstance(value, str):
        raise WorkflowError(f"{what} must be text, not {value!r}")
    if not _ALLOWED.fullmatch(value):
        raise WorkflowError(
            f"{what} {value!r} is refused by Airflow: use one or more ASCII letters, digits, '_', '.' and '-'"
        )
    if len(value) > MAXIMUM_LENGTH:
        raise WorkflowError(f"{what} {value!r} has {len(value)} characters; Airflow accepts {MAXIMUM_LENGTH} at most")
    if value.endswith(_TEMPLATE_SUFFIXES):
        raise WorkflowError(
            f"{what} {value!r} ends in '.sh' or '.bash': Airflow would read it as the name of a template file; "
            "rename it"
        )
    return str.__str__(value)  # a member of an enumeration becomes plain text
