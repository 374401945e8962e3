"""The names of distributions and extras."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name

from dkist_task.name import normalized_name


@pytest.mark.parametrize("name", ["dkist-task", "DKIST.Inst_Vbi", "a-_.b", "A", "x.1_2"])
def test_a_name_is_normalised_as_installers_do_it(name: str) -> None:
    """The spelling is that of PEP 503 and 685, so it is found in an index and in installed metadata."""
    assert normalized_name(name) == canonicalize_name(name)
    assert normalized_name(normalized_name(name)) == normalized_name(name)
