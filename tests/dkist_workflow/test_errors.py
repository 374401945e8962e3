"""What can be wrong with a workflow."""

from __future__ import annotations

import pytest

from dkist_workflow import EngineNotInstalledError, WorkflowError
from dkist_workflow.errors import errors_name


def test_errors_are_also_of_the_built_in_kind() -> None:
    """Who knows nothing of this package catches a ValueError, or an ImportError for what is not installed."""
    assert issubclass(WorkflowError, ValueError)
    assert issubclass(EngineNotInstalledError, ImportError)
    assert "install 'dkist-airflow-node' to export workflows" in str(EngineNotInstalledError())


def test_places_are_named_from_the_outside_in() -> None:
    """A place goes before the message; another kind of error is left as it is."""
    with (
        pytest.raises(WorkflowError, match=r"^workflow 'a': task 'B': wrong$"),
        errors_name("workflow 'a'"),
        errors_name("task 'B'"),
    ):
        raise WorkflowError("wrong")
    with pytest.raises(KeyError, match=r"^'wrong'$"), errors_name("workflow 'a'"):
        raise KeyError("wrong")
