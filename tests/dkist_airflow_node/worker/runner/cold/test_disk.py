"""What cannot be written is named, and a full disk has a remedy."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from dkist_airflow_node.worker.runner.cold.disk import cannot_write, refusal, remedy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_has_a_remedy(number: int) -> None:
    """The folder, the system's words, and how to fix it."""
    text = str(cannot_write("/store", OSError(number, os.strerror(number))))
    assert text.startswith(f"cannot write to /store: {os.strerror(number)}; free space on the disk of /store (")
    assert "'dkist-airflow-node environments prune'" in text
    assert text.endswith("or set DKIST_ENVIRONMENT_STORE to a folder on another disk")


def test_other_faults_have_none(tmp_path: Path) -> None:
    """A remedy for something else would mislead."""
    assert str(cannot_write("/store", PermissionError(errno.EACCES, "Permission denied"))) == (
        "cannot write to /store: Permission denied"
    )
    assert remedy("/store", "error: No solution found") == ""
    assert refusal(f"{tmp_path}/gone") == f"cannot write to {tmp_path}/gone: No such file or directory"


def test_a_folder_that_can_be_written_to_is_left_as_it_was(tmp_path: Path) -> None:
    """Nothing is refused, and nothing stays."""
    assert refusal(str(tmp_path)) == ""
    assert list(tmp_path.iterdir()) == []
